#include <gtest/gtest.h>

#include <algorithm>

#include "common/base/rng.h"
#include "common/io/memory_disk.h"
#include "common/wal/wal.h"
#include "common/wal/wal_test_log.h"

namespace coppice::wal {
namespace {

using io::MemoryDisk;
using Operation = MemoryDisk::Operation;

struct State {
  std::vector<EntryPtr> entries;  // 1, 2, ...
  HardState hard_state;

  void Put(const EntryPtr& entry) {
    entries.resize(entry->index().value() - 1);
    entries.push_back(entry);
  }
  bool operator==(const State& other) const {
    return hard_state == other.hard_state && Records(entries) == Records(other.entries);
  }
};

// Appends, overwrites, syncs, kills and crashes a log at random, and knows every state that it may
// be in afterwards: after each record since the last that is certainly durable.
class Nemesis {
 public:
  explicit Nemesis(std::uint64_t seed) : rng_(seed), possible_(1) {}

  void Run(int steps) {
    Open();
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) Step();
  }
  std::uint64_t torn() const { return torn_; }

 private:
  void Step() {
    const std::uint64_t dice = rng_.Below(100);
    if (dice < 60) {
      Append();
    } else if (dice < 85) {
      Sync();
    } else if (dice < 90) {
      Open();  // a kill: what was written is still in the page cache
    } else {
      Crash();
    }
  }

  void Append() {
    const State& now = possible_.back();
    State next = now;
    std::vector<State> after;
    std::optional<HardState> hard_state;
    if (rng_.Chance(0.3)) {
      hard_state = HardState{Term(rng_.Below(100)), NodeId(rng_.Below(5)), Index(rng_.Below(9))};
      next.hard_state = *hard_state;
      after.push_back(next);
    }
    std::uint64_t index = now.entries.size() + 1;
    if (rng_.Chance(0.2)) index -= rng_.Below(std::min<std::uint64_t>(index, 12));
    std::vector<EntryPtr> entries;
    for (std::uint64_t left = rng_.Below(5); left > 0; --left) {
      entries.push_back(MakeEntry(index++));
      next.Put(entries.back());
      after.push_back(next);
    }
    if (rng_.Chance(0.03)) FailSoon(Operation::kWrite);
    const Status status = log_.wal->Append(entries, hard_state);
    possible_.insert(possible_.end(), after.begin(), after.end());
    if (!status.ok()) Crash();
  }

  EntryPtr MakeEntry(std::uint64_t index) {
    std::string payload(rng_.Chance(0.1) ? rng_.Below(3000) : rng_.Below(200), '\0');
    if (rng_.Chance(0.8)) {
      for (char& byte : payload) byte = static_cast<char>(rng_.Next());
    }
    return Entry::Make(Term(rng_.Below(50)), Index(index), RecordKind::kCommand, payload);
  }

  void Sync() {
    if (rng_.Chance(0.05)) FailSoon(Operation::kSync);
    if (!log_.wal->Sync().ok()) {
      rng_.Chance(0.5) ? Crash() : Open();
      return;
    }
    possible_.erase(possible_.begin(), possible_.end() - 1);
  }

  void FailSoon(Operation operation) {
    disk_.FailNth(operation, 1 + rng_.Below(2), MakeStatus(StatusCode::kInternal, "EIO"));
  }

  void Crash() {
    disk_.ClearFaults();
    disk_.Crash(rng_);
    log_.wal.reset();
    if (rng_.Chance(0.3)) {  // the recovery meets the next one
      FailSoon(rng_.Chance(0.5) ? Operation::kWrite : Operation::kSync);
      if (!log_.Open(disk_).ok()) disk_.Crash(rng_);
      log_.wal.reset();
    }
    Open();
  }

  void Open() {
    disk_.ClearFaults();
    ASSERT_TRUE(log_.Open(disk_).ok()) << log_.Open(disk_);
    torn_ += log_.recovered.torn_bytes_cut > 0;
    const State found{log_.replayed, log_.recovered.hard_state};
    const auto match = std::find(possible_.begin(), possible_.end(), found);
    ASSERT_NE(match, possible_.end())
        << "recovered " << Show(found.entries) << "\ndurable was "
        << Show(possible_.front().entries) << "\nwritten was " << Show(possible_.back().entries);
    EXPECT_EQ(log_.wal->last_index(), Index(found.entries.size()));
    possible_ = {found};
    std::vector<EntryPtr> read;
    ASSERT_TRUE(log_.wal->Read(Index(1), log_.wal->last_index(), SIZE_MAX, read).ok());
    EXPECT_EQ(Records(read), Records(found.entries));
  }

  Rng rng_;
  MemoryDisk disk_;
  TestLog log_;
  std::vector<State> possible_;  // the first is durable
  std::uint64_t torn_ = 0;
};

TEST(WalCrash, WhatWasSyncedSurvivesAndWhatIsRecoveredIsAPrefix) {
  std::uint64_t torn = 0;
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    Nemesis nemesis(seed);
    nemesis.Run(60);
    torn += nemesis.torn();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(torn, 500U) << "the crashes are too kind";
}

}  // namespace
}  // namespace coppice::wal
