#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/node/link.h"
#include "common/node/replica_core.h"
#include "common/replica/tail_sink.h"

namespace coppice::learner {

// A learner's connection to the log: drives replica::TailSink over tail connections, and sends the
// read gate's rounds up the one in use.
// Thread: the core loop's.
class LogTail final : public node::RoundSender, private io::TurnTask {
 public:
  struct Hooks {
    std::function<void(replica::ReadGate::Input)> gate;
    // Entries in order, each once.
    std::function<void(std::vector<EntryPtr>)> apply;
    std::function<void(std::vector<NodeId> path, bool rooted)> path;
    // The upstream is another one, or none (0).
    std::function<void(std::uint64_t cluster_id)> upstream_changed;
    std::function<void()> need_snapshot;
  };

  LogTail(io::Loop& loop, io::Transport& transport, const replica::TailSinkConfig& config,
          Hooks hooks, Rng rng);
  ~LogTail() override;

  void Input(replica::TailSink::Input input);
  void SendRound(std::uint64_t id, bool relaxed) override;
  void SendRenewals(const replica::RenewBundle& bundle);
  const replica::TailSink& sink() const { return sink_; }
  bool up() const { return current_ != 0; }
  std::string local_host() const;  // this machine's address on the way upstream; empty if none
  void Stop() { links_.clear(); }

 private:
  void OnTurn(Time now) override;
  void Perform();
  void Complain(std::string_view reason);
  void Connect(const replica::TailSink::Connect& connect);
  void OnFrame(std::uint64_t link, const io::Frame& frame);
  bool Handle(std::uint64_t link, const io::Frame& frame);
  void OnReply(const replica::ReadIndexReply& reply);
  void Send(std::uint64_t link, io::FrameType type, std::string_view payload);
  void ArmTimer();

  io::Loop& loop_;
  io::Transport& transport_;
  replica::TailSink sink_;
  std::string complaint_;  // why the last dial failed, if none has succeeded since
  replica::TailSink::Output out_;
  Hooks hooks_;
  Rng rng_;
  std::map<std::uint64_t, std::unique_ptr<node::Link>> links_;
  std::vector<std::unique_ptr<node::Link>> dropped_;  // until out of their own callbacks
  std::uint64_t current_ = 0;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::learner
