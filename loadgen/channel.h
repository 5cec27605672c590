#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "common/io/loop.h"
#include "common/rpc/client.h"
#include "loadgen/options.h"

namespace coppice::loadgen {

// One connection to a target, made anew (to the next target) when it is lost. Thread: the loop's.
class Channel {
 public:
  using Observer = rpc::ClientConnection::Observer;
  using CallHandle = rpc::ClientConnection::CallHandle;

  // `first` is the target it begins with. `on_state`: OK when connected, else why not; outlives the
  // channel.
  Channel(io::Loop& loop, const Options& options, std::size_t first,
          std::function<void(const Status&)> on_state);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void Connect();
  // Takes requests: connected, and the server is not going away.
  bool usable() const { return connected_ && connection_->connected(); }
  const Endpoint& target() const { return options_.targets[target_ % options_.targets.size()]; }

  // False: not connected; nothing will be heard.
  bool Put(std::string_view message, std::uint64_t tag, Observer& observer);
  // `session` > 0: the minimum revision, instead of the run's.
  bool Get(ReadMode mode, Revision session, std::string_view message, std::uint64_t tag,
           Observer& observer);
  CallHandle Watch(std::uint64_t tag, Observer& observer);  // -1: not connected
  void Send(CallHandle call, std::string_view message) { connection_->Send(call, message); }

 private:
  void Prepare();
  void OnState(const Status& status);
  void Retry();

  io::Loop& loop_;
  const Options& options_;
  std::size_t target_;
  std::function<void(const Status&)> on_state_;
  std::unique_ptr<rpc::ClientConnection> connection_;
  rpc::ClientConnection::Template put_ = 0;
  rpc::ClientConnection::Template watch_ = 0;
  std::array<rpc::ClientConnection::Template, 3> get_{};
  std::array<rpc::ClientConnection::Template, 3> get_in_session_{};
  io::Loop::TimerId retry_ = 0;
  bool connected_ = false;
};

}  // namespace coppice::loadgen
