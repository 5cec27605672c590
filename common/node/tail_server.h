#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/replica/registration.h"
#include "common/replica/tail_source.h"

namespace coppice::node {

// The upstream end of class kTail connections: log subscribers, their ReadIndex rounds and their
// renewals. Drives replica::TailSource. Thread: the core loop's.
class TailServer final : public io::ConnectionHandler, private io::TurnTask {
 public:
  struct Hooks {
    std::function<void(std::uint64_t child, std::uint64_t id, bool relaxed)> round;
    std::function<void(std::uint64_t child)> gone;
    std::function<void(const replica::RenewBundle&)> renewals;
    // A voter's: entries from its WAL; empty if the log no longer has them.
    // An error closes the subscriber's connection, so that it asks another.
    std::function<StatusOr<std::vector<EntryPtr>>(Index from, Index to, std::size_t bytes_max)>
        read_wal;
    std::function<Index()> first_in_wal;
  };

  TailServer(io::Loop& loop, const replica::TailSourceConfig& config);
  ~TailServer() override;

  void SetHooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void Input(replica::TailSource::Input input);
  // The entries of a TailEntries frame go out before it.
  void Answer(std::uint64_t child, std::uint64_t child_id, bool ok, Index index);
  const replica::TailSource& source() const { return source_; }
  std::size_t learners() const;  // connected here; voters ask for rounds only when they have reads
  void CloseAll(const Status& reason);

  void OnOpen(io::Connection& connection) override;
  void OnFrame(io::Connection& connection, const io::Frame& frame) override;
  void OnClosed(io::Connection& connection, const Status& reason) override;

 private:
  void OnTurn(Time now) override;
  bool Handle(io::Connection& connection, const io::Frame& frame);
  void Perform();
  void Send(std::uint64_t conn, io::FrameType type, std::string_view payload);
  void ArmTimer();

  io::Loop& loop_;
  replica::TailSource source_;
  replica::TailSource::Output out_;
  Hooks hooks_;
  std::unordered_map<std::uint64_t, io::Connection*> connections_;
  io::Loop::TimerId timer_ = 0;
  Time timer_at_ = kNever;
};

}  // namespace coppice::node
