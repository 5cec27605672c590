#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/rpc/http1.h"
#include "common/rpc/server_core.h"
#include "common/rpc/session.h"
#include "common/rpc/socket.h"

namespace coppice::rpc {

// One client of the server: finds out from the first bytes what it speaks, and goes between its
// socket and its session. Thread: the loop's.
class ServerConnection final : public Socket::User, public ServerSession::Host {
 public:
  // Who owns the connections.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Nothing uses `connection` any more, but it is still on the stack.
    virtual void OnGone(ServerConnection& connection) = 0;
  };

  ServerConnection(ServerCore& core, Owner& owner, boost::asio::ip::tcp::socket socket,
                   int listener);
  ~ServerConnection() override;

  void Start() { socket_->Start(); }
  void Drain();
  void Tick(Time now);  // keep-alive and idle limits, now and then

  bool OnBytes(std::string_view bytes) override;
  void Produce(std::string& out, std::size_t size_max) override;
  bool Finished() override;
  void OnClosed(std::string_view reason) override;
  void WakeFlush() override { socket_->WakeFlush(); }

  std::size_t index = 0;  // the owner's

 private:
  bool ChooseProtocol();

  ServerCore& core_;
  Owner& owner_;
  const int listener_;
  const std::shared_ptr<Socket> socket_;
  std::unique_ptr<ServerSession> session_;  // HTTP/2
  std::unique_ptr<Http1Session> http1_;
  std::string first_bytes_;
  std::string http1_out_;
  Time last_received_;
  bool draining_ = false;
};

}  // namespace coppice::rpc
