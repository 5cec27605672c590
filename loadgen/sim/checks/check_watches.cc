#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "loadgen/sim/checks/checks.h"
#include "loadgen/sim/checks/prompt.h"

namespace coppice::sim {
namespace {

using loadgen::Oracle;
using Change = mvcc::testing::Model::Change;

// What a watch must be told, in order: the model's changes in its range that its filters let pass.
class Expected {
 public:
  Expected(const Oracle& oracle, const WatchCreated& spec, Revision start)
      : oracle_(oracle), spec_(spec), revision_(std::max<Revision>(start, 2)) {
    Settle();
  }

  bool done() const { return revision_ > oracle_.revision(); }
  Revision revision() const { return revision_; }  // of the next; beyond the log's: none
  const Change& next() const { return oracle_.model().At(revision_)[position_]; }
  void Pop() {
    ++position_;
    Settle();
  }
  bool Wants(const Change& change) const {
    if (!spec_.range.Contains(change.kv.key)) return false;
    return change.kv.version == 0 ? !spec_.no_delete : !spec_.no_put;
  }

 private:
  void Settle() {
    for (; !done(); ++revision_, position_ = 0) {
      const auto& changes = oracle_.model().At(revision_);
      while (position_ < changes.size() && !Wants(changes[position_])) ++position_;
      if (position_ < changes.size()) return;
    }
  }

  const Oracle& oracle_;
  const WatchCreated& spec_;
  Revision revision_;
  std::size_t position_ = 0;
};

// One watch of a stream, from `created` to its end.
struct Watcher {
  const WatchCreated* spec;
  const WatchReply* created;
  Revision start;  // the first revision that it is to see
  Expected expected;
  Revision needs;             // everything below was delivered, or is known not to come
  bool in_fragments = false;  // the last response said that more of its revision follows
  bool given_up = false;      // a violation was found: what follows says nothing
};

class StreamChecker {
 public:
  StreamChecker(const Evidence& evidence, const StreamRecord& stream, const FullStreams& full,
                Findings& findings, Coverage& coverage)
      : evidence_(evidence),
        oracle_(evidence.oracle),
        stream_(stream),
        promptness_(evidence, stream),
        full_(full),
        findings_(findings),
        coverage_(coverage) {}

  void Check() {
    for (const WatchReply& reply : stream_.replies) {
      if (!CheckHeader(reply)) return;
      if (reply.created) {
        OnCreated(reply);
      } else if (reply.canceled) {
        OnCanceled(reply);
      } else if (reply.events.empty()) {
        OnProgress(reply);
      } else {
        OnEvents(reply);
      }
    }
    if (stream_.ended == 0) CheckEnd();
    if (stream_.ended != 0) CheckLeftOver();
  }

 private:
  void Fail(std::string_view property, const WatchReply& reply, const std::string& why) {
    findings_.Add(property, reply.at, why + "\n  " + Describe(stream_) + "\n  " + Describe(reply));
  }
  void Fail(std::string_view property, Watcher& watcher, const WatchReply& reply,
            const std::string& why) {
    Fail(property, reply,
         fmt::format("{}\n  watch from {} (asked {}{}), created {}", why, watcher.start,
                     watcher.spec->start, watcher.spec->resumed ? ", resumed" : "",
                     Describe(*watcher.created)));
    watcher.given_up = true;
  }

  bool CheckHeader(const WatchReply& reply);
  void OnCreated(const WatchReply& reply);
  void CheckCreation(const WatchCreated& spec, const WatchReply& reply);
  void OnCanceled(const WatchReply& reply);
  void OnProgress(const WatchReply& reply);
  void CheckProgress(Watcher& watcher, const WatchReply& reply);
  void OnEvents(const WatchReply& reply);
  void CheckEvent(Watcher& watcher, const WatchReply& reply, const WatchEvent& event);
  void Misplaced(Watcher& watcher, const WatchReply& reply, const WatchEvent& event);
  void CheckContent(Watcher& watcher, const WatchReply& reply, const WatchEvent& event,
                    const Change& change);
  void CheckSplit(Watcher& watcher, const WatchReply& reply);
  void CheckPrompt(Watcher& watcher, const WatchReply& reply, const WatchEvent& event);
  void CheckLeftOver();
  void CheckCompacted(Watcher& watcher, const WatchReply& reply);
  void CheckEnd();
  bool AskedToCancel(std::int64_t id) const {
    return std::any_of(stream_.cancels.begin(), stream_.cancels.end(),
                       [id](const WatchCanceled& cancel) { return cancel.watch_id == id; });
  }

  const Evidence& evidence_;
  const Oracle& oracle_;
  const StreamRecord& stream_;
  const Promptness promptness_;
  const FullStreams& full_;
  Findings& findings_;
  Coverage& coverage_;
  std::map<std::int64_t, Watcher> watchers_;
  std::size_t answered_ = 0;  // creates
  Revision header_ = 0;       // the highest so far
};

// False: the revision is not in the log, so that nothing can be compared.
bool StreamChecker::CheckHeader(const WatchReply& reply) {
  if (reply.header < header_) {
    Fail("watch-header", reply, fmt::format("the stream's header was at {} before", header_));
  }
  header_ = std::max(header_, reply.header);
  Revision highest = reply.header;
  for (const WatchEvent& event : reply.events) highest = std::max(highest, event.kv.mod);
  if (highest > oracle_.revision()) {
    Fail("U5", reply, fmt::format("the final log ends at revision {}", oracle_.revision()));
    return false;
  }
  if (highest > reply.header) Fail("watch-header", reply, "an event is above the header");
  return true;
}

// --- Creation and end.

void StreamChecker::OnCreated(const WatchReply& reply) {
  if (answered_ >= stream_.creates.size()) return Fail("W4", reply, "more created than asked for");
  const WatchCreated& spec = stream_.creates[answered_++];
  if (reply.canceled) return;  // refused
  CheckCreation(spec, reply);
  const Revision start = spec.start == 0 ? reply.header + 1 : spec.start;
  const auto [at, is_new] = watchers_.emplace(
      reply.watch_id,
      Watcher{&spec, &reply, start, Expected(oracle_, spec, start), start, false, false});
  if (!is_new) return Fail("W4", reply, "the stream has a watch with this id already");
  if (spec.watch_id != 0 && spec.watch_id != reply.watch_id) {
    Fail("W4", reply, fmt::format("id {} was asked for", spec.watch_id));
  }
}

void StreamChecker::CheckCreation(const WatchCreated& spec, const WatchReply& reply) {
  const Consistency& wanted = stream_.consistency;
  const auto seen_since = [&](Time time, std::string_view property) {
    const auto before = evidence_.acks.Before(time);
    if (reply.header >= before.revision) return;
    Fail(property, reply,
         fmt::format("created at {}; revision {} had been seen before, by {}", spec.sent,
                     before.revision, Describe(before.source)));
  };
  if (wanted.mode == ReadMode::kLinearizable) seen_since(spec.sent, "L1");
  if (wanted.mode == ReadMode::kBounded && wanted.max_staleness) {
    seen_since(spec.sent - evidence_.TrueMax(*wanted.max_staleness), "B1");
  }
  if (reply.header < wanted.min_revision) {
    Fail("B2", reply, "created below the minimum revision");
    if (stream_.in_session) Fail("session-watch", reply, "created below the session revision");
  }
}

void StreamChecker::OnCanceled(const WatchReply& reply) {
  const auto at = watchers_.find(reply.watch_id);
  if (at == watchers_.end()) return Fail("W4", reply, "there is no such watch");
  Watcher& watcher = at->second;
  if (reply.compact_revision != 0 && !watcher.given_up) {
    const auto& all = oracle_.compactions();
    const bool known = std::any_of(all.begin(), all.end(), [&reply](const auto& compaction) {
      return compaction.revision == reply.compact_revision;
    });
    if (!known) Fail("W9", watcher, reply, "nothing was compacted at that revision");
    if (watcher.needs >= reply.compact_revision) {
      Fail("W9", watcher, reply,
           fmt::format("canceled, though what it needs, from {} on, is not compacted",
                       watcher.needs));
    }
  } else if (reply.reason.empty() && !AskedToCancel(reply.watch_id)) {
    Fail("W4", watcher, reply, "canceled without a reason");
  }
  watchers_.erase(at);
}

void StreamChecker::CheckEnd() {
  const Revision seen = evidence_.acks.Before(kNever).revision;
  for (auto& [id, watcher] : watchers_) {
    if (watcher.given_up || watcher.expected.done() || watcher.expected.revision() > seen) continue;
    Fail("W4", watcher, stream_.replies.back(),
         fmt::format("at the run's end watch {} had not seen revision {}: {}", id,
                     watcher.expected.revision(), Describe(watcher.expected.next().kv)));
  }
}

// --- Progress.

void StreamChecker::OnProgress(const WatchReply& reply) {
  if (reply.watch_id == -1) {
    for (auto& [id, watcher] : watchers_) CheckProgress(watcher, reply);
    return;
  }
  const auto at = watchers_.find(reply.watch_id);
  if (at == watchers_.end()) return Fail("W4", reply, "there is no such watch");
  CheckProgress(at->second, reply);
}

void StreamChecker::CheckProgress(Watcher& watcher, const WatchReply& reply) {
  if (watcher.given_up) return;
  if (!watcher.expected.done() && watcher.expected.revision() <= reply.header) {
    return Fail("W10", watcher, reply,
                fmt::format("before revision {} was delivered: {}", watcher.expected.revision(),
                            Describe(watcher.expected.next().kv)));
  }
  watcher.needs = std::max(watcher.needs, reply.header + 1);
}

// --- Events.

void StreamChecker::OnEvents(const WatchReply& reply) {
  const auto at = watchers_.find(reply.watch_id);
  if (at == watchers_.end()) return Fail("W4", reply, "there is no such watch");
  Watcher& watcher = at->second;
  if (watcher.given_up) return;
  if (reply.fragment && !watcher.spec->fragment) {
    Fail("W3", watcher, reply, "fragments were not asked for");
  }
  for (const WatchEvent& event : reply.events) {
    if (watcher.given_up) return;
    CheckEvent(watcher, reply, event);
  }
  CheckCompacted(watcher, reply);
  if (!watcher.given_up) CheckSplit(watcher, reply);
}

// Whoever serves a watch knows of every compaction that was acknowledged before it was asked for,
// or by its bound before that.
void StreamChecker::CheckCompacted(Watcher& watcher, const WatchReply& reply) {
  if (watcher.given_up) return;
  const Consistency& wanted = stream_.consistency;
  Time known = watcher.spec->sent;
  if (wanted.mode == ReadMode::kBounded && wanted.max_staleness) {
    known -= evidence_.TrueMax(*wanted.max_staleness);
  } else if (wanted.mode != ReadMode::kLinearizable) {
    return;
  }
  const auto compacted = evidence_.compactions.Before(known);
  if (watcher.start >= compacted.revision) return;
  Fail("W9", watcher, reply,
       fmt::format("served, though revision {} had been compacted by {}", compacted.revision,
                   Describe(compacted.source)));
}

// A response that does not say `fragment` has all that is left of its last revision.
void StreamChecker::CheckSplit(Watcher& watcher, const WatchReply& reply) {
  watcher.in_fragments = reply.fragment;
  const Revision last = reply.events.back().kv.mod;
  if (reply.fragment) return;
  watcher.needs = std::max(watcher.needs, last + 1);
  if (watcher.expected.done() || watcher.expected.revision() > last) return;
  Fail("W3", watcher, reply,
       fmt::format("revision {} is not whole: {} is missing", last,
                   Describe(watcher.expected.next().kv)));
}

void StreamChecker::CheckEvent(Watcher& watcher, const WatchReply& reply, const WatchEvent& event) {
  if (watcher.expected.done()) return Misplaced(watcher, reply, event);
  const Change& change = watcher.expected.next();
  if (event.kv.mod != watcher.expected.revision() || event.kv.key != change.kv.key) {
    return Misplaced(watcher, reply, event);
  }
  CheckContent(watcher, reply, event, change);
  CheckPrompt(watcher, reply, event);
  watcher.expected.Pop();
}

// Not the event that is due: which rule that breaks.
void StreamChecker::Misplaced(Watcher& watcher, const WatchReply& reply, const WatchEvent& event) {
  const std::string due = watcher.expected.done()
                              ? "nothing is due"
                              : fmt::format("due is {}", Describe(watcher.expected.next().kv));
  if (event.kv.mod < watcher.start) {
    const bool future = watcher.start > watcher.created->header + 1;
    return Fail(future ? "W8" : "W12", watcher, reply,
                fmt::format("an event from before its start: {}", Describe(event)));
  }
  const auto& changes = oracle_.model().At(event.kv.mod);
  const auto real = std::find_if(changes.begin(), changes.end(), [&](const Change& change) {
    return change.kv.key == event.kv.key && watcher.expected.Wants(change);
  });
  if (real == changes.end()) {
    return Fail("W4", watcher, reply,
                fmt::format("an event that is not its to see: {}; {}", Describe(event), due));
  }
  if (event.kv.mod < watcher.expected.revision()) {
    // It was delivered before: all before what is due was.
    const bool again = event.kv.mod < watcher.needs || watcher.in_fragments;
    return Fail(again ? "W2" : "W1", watcher, reply,
                fmt::format("an event for the second time: {}; {}", Describe(event), due));
  }
  if (event.kv.mod == watcher.expected.revision()) {
    return Fail("W1", watcher, reply,
                fmt::format("out of order in its revision: {}; {}", Describe(event), due));
  }
  Fail("W4", watcher, reply, fmt::format("a gap before {}; {}", Describe(event), due));
  if (watcher.spec->resumed) findings_.Add("W5", reply.at, "the watch with the gap was resumed");
}

void StreamChecker::CheckContent(Watcher& watcher, const WatchReply& reply, const WatchEvent& event,
                                 const Change& change) {
  const bool is_delete = change.kv.version == 0;
  if (event.is_delete != is_delete || event.kv != change.kv) {
    const bool kind = event.kv.value == change.kv.value;
    return Fail(kind ? "W7" : "W4", watcher, reply, fmt::format("it is {}", Describe(change.kv)));
  }
  if (!watcher.spec->prev_kv) {
    if (event.prev) Fail("W6", watcher, reply, "prev_kv was not asked for");
    return;
  }
  if (event.prev == change.prev) return;
  if (event.prev) {
    return Fail(
        "W6", watcher, reply,
        fmt::format("prev_kv is {}, not {}", change.prev ? Describe(*change.prev) : "nothing",
                    Describe(*event.prev)));
  }
  // The state before a compaction may be gone.
  const auto& all = oracle_.compactions();
  const bool compacted = !all.empty() && all.back().revision >= event.kv.mod;
  if (!compacted) {
    Fail("W6", watcher, reply, fmt::format("without prev_kv {}", Describe(*change.prev)));
  }
}

// --- Delay.

void StreamChecker::CheckPrompt(Watcher& watcher, const WatchReply& reply,
                                const WatchEvent& event) {
  const Time due = promptness_.Due(watcher.created->at, event.kv.mod);
  if (due == kNever) return;
  const Time seen = evidence_.acks.FirstAt(event.kv.mod);
  const bool beside = full_.Beside(stream_, event.kv.key, seen);
  if (reply.at <= due) return coverage_.Add("events-beside-a-full-watcher", beside ? 1 : 0);
  if (watcher.given_up) return;
  Fail("W13", watcher, reply,
       fmt::format("revision {} was seen at {} and due here by {}{}", event.kv.mod, seen, due,
                   beside ? "; a stream beside it was full" : ""));
}

// What had been due before the stream ended, and did not come.
void StreamChecker::CheckLeftOver() {
  for (auto& [id, watcher] : watchers_) {
    if (watcher.given_up || watcher.expected.done()) continue;
    const Revision revision = watcher.expected.revision();
    const Time due = promptness_.Due(watcher.created->at, revision);
    if (due >= stream_.ended) continue;
    Fail("W13", watcher, stream_.replies.back(),
         fmt::format("revision {} was seen at {}, due here by {}, and not there at {}", revision,
                     evidence_.acks.FirstAt(revision), due, stream_.ended));
  }
}

}  // namespace

void CheckWatches(const Evidence& evidence, Findings& findings, Coverage& coverage) {
  const FullStreams full(evidence);
  for (const auto& stream : evidence.history.streams) {
    StreamChecker(evidence, *stream, full, findings, coverage).Check();
  }
}

}  // namespace coppice::sim
