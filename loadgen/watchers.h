#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/io/loop.h"
#include "loadgen/channel.h"
#include "loadgen/key_space.h"
#include "loadgen/options.h"
#include "loadgen/report.h"
#include "loadgen/wire.h"

namespace coppice::loadgen {

// Watches spread over streams and connections, each checked as its events come: order and repeats
// by mod_revision, and for watches of one key gaps by its version. A stream that is lost is made
// anew, each of its watches from the revision after its last. Thread: the loop's.
class Watchers {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnWatchEvent(std::uint64_t watcher, const EventView& event) = 0;
  };
  struct Watcher {
    std::uint64_t key = 0;  // of a watch of one key
    Revision next = 0;      // where it goes on
    Revision last = 0;      // mod_revision of its last event
    std::int64_t version = 0;
  };

  // One key each, in turn, in the scenario watch; else each all keys of the run.
  Watchers(io::Loop& loop, const Options& options, Revision start, Listener& listener);

  // `created`: every watch was created once.
  void Start(std::function<void()> created);
  // What arrives from here on counts.
  void Measure() { summary_ = WatchSummary(); }

  bool single_keys() const { return single_keys_; }
  const std::vector<Watcher>& watchers() const { return watchers_; }
  WatchSummary& summary() { return summary_; }

 private:
  struct Stream final : rpc::ClientConnection::Observer {
    Watchers* owner = nullptr;
    std::size_t channel = 0;
    std::size_t first = 0;  // its watchers
    std::size_t end = 0;
    Channel::CallHandle call = -1;
    bool opened_before = false;

    void OnMessage(std::uint64_t, std::string_view message) override {
      owner->OnReply(*this, message);
    }
    void OnFinish(std::uint64_t, const Status& status) override { owner->OnEnd(*this, status); }
  };

  void OnChannel(std::size_t channel, const Status& status);
  void Open(Stream& stream);
  void OnReply(Stream& stream, std::string_view message);
  void OnEnd(Stream& stream, const Status& status);
  void Check(std::uint64_t index, const EventView& event);

  io::Loop& loop_;
  const bool single_keys_;
  KeySpace names_;
  Listener& listener_;
  std::vector<Watcher> watchers_;
  std::vector<bool> created_;
  std::size_t missing_;  // not created yet
  std::function<void()> on_created_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Channel>> channels_;
  WatchSummary summary_;
};

}  // namespace coppice::loadgen
