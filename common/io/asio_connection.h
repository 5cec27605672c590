#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/io/liveness.h"
#include "common/io/loop.h"
#include "common/io/transport.h"

namespace coppice::io {

// A TCP connection that speaks packets of frames. First the two Hellos, then whatever `Events`
// hears. An open connection whose peer says nothing for 5 s is closed (Liveness). Owned by
// shared_ptr: pending socket operations hold it. Thread: its loop's.
class AsioConnection final : public Connection,
                             private TurnTask,
                             public std::enable_shared_from_this<AsioConnection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  struct Events {
    // Both Hellos are exchanged and verified. Not called for adopted connections.
    std::function<void(AsioConnection&)> on_ready;
    // It is over; `was_open`: after Start(handler). Called once, never from within another method.
    std::function<void(AsioConnection&, const Status&, bool was_open)> on_end;
  };

  AsioConnection(Loop& loop, Socket socket, const TransportOptions& options, Events events);
  ~AsioConnection() override;

  void BeginAsDialer(ConnectionClass connection_class);
  void BeginAsAcceptor();
  // Takes over a socket whose Hellos another loop exchanged; `unread` came behind them.
  void BeginAdopted(const Hello& peer, std::string unread);
  // From now on frames go to `handler`; OnOpen is called at once.
  void Start(ConnectionHandler& handler);
  // Gives the socket away after on_ready, with what was read beyond the Hellos; -1 if the
  // connection has ended since.
  std::pair<int, std::string> Release();

  const Hello& peer() const override { return peer_; }
  std::string& BeginFrame(const Frame& frame, std::size_t payload_size) override;
  std::size_t unsent_bytes() const override { return out_.size() - sent_; }
  void Close(const Status& reason) override;
  std::uint64_t id() const override { return id_; }
  std::string local_host() const override;

 private:
  enum class State { kAwaitHello, kAwaitProof, kReady, kOpen, kClosed };

  void OnTurn(Time now) override;
  void SendHello(ConnectionClass connection_class, std::string proof);
  void AwaitRead();
  void ReadSome();
  void ParsePackets();
  bool HandleFrames(std::string_view frames);
  void HandleHello(const Frame& frame);
  void AcceptorGotHello(const Hello& hello);
  void DialerGotHello(const Hello& hello);
  void BecomeReady();
  void AwaitTick();
  void Tick();
  void Flush();
  void End(const Status& reason);
  void FailWith(StatusCode code, const std::string& why);
  std::string PeerName() const;

  Loop& loop_;
  Socket socket_;
  const TransportOptions& options_;
  Events events_;
  ConnectionHandler* handler_ = nullptr;
  const std::uint64_t id_;
  State state_ = State::kAwaitHello;
  bool acceptor_ = false;
  bool reading_ = false;
  bool awaiting_write_ = false;
  bool was_full_ = false;
  std::uint64_t nonce_ = 0;
  Hello peer_;
  std::string in_;
  std::size_t parsed_ = 0;
  std::string out_;
  std::size_t sent_ = 0;
  std::optional<Liveness> liveness_;  // while open, with a peer that pings
  Loop::TimerId tick_timer_ = 0;
  std::size_t packet_ = std::string::npos;  // offset in out_ of the packet that is open
};

}  // namespace coppice::io
