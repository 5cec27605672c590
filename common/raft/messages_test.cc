#include "common/raft/messages.h"

#include <gtest/gtest.h>

#include "common/base/rng.h"

namespace coppice::raft {
namespace {

Append SomeAppend() {
  Append append;
  append.term = Term(7);
  append.prev_index = Index(41);
  append.prev_term = Term(5);
  append.commit = Index(40);
  append.round = 12;
  append.entries = {Entry::Make(Term(6), Index(42), RecordKind::kNoop, ""),
                    Entry::Make(Term(7), Index(43), RecordKind::kCommand, "put a")};
  return append;
}

std::vector<Message> OneOfEach() {
  AppendReply refused;
  refused.term = Term(7);
  refused.hint_index = Index(3);
  refused.hint_term = Term(2);
  refused.prev_index = Index(9);
  refused.round = 11;
  return {PreVoteRequest{Term(3), Index(9), Term(2)},
          PreVoteReply{Term(3), true},
          VoteRequest{Term(3), Index(9), Term(2), true},
          VoteReply{Term(3), false},
          SomeAppend(),
          refused,
          TimeoutNow{Term(8)},
          InstallSnapshot{Term(8), Index(100), Term(7)},
          SnapshotReply{Term(8), Index(100), true}};
}

TEST(Messages, EachTypeSurvivesTheWire) {
  for (const Message& message : OneOfEach()) {
    const std::string bytes = EncodeMessage(message);
    Message out;
    ASSERT_TRUE(DecodeMessage(bytes, out)) << message.index();
    EXPECT_EQ(out.index(), message.index());
    EXPECT_EQ(TermOf(out), TermOf(message));
    EXPECT_EQ(EncodeMessage(out), bytes);
  }
}

TEST(Messages, EntriesTravelAsTheirRecords) {
  const Append append = SomeAppend();
  const std::string bytes = EncodeMessage(append);
  const std::string records =
      std::string(append.entries[0]->record()) + std::string(append.entries[1]->record());
  EXPECT_TRUE(bytes.ends_with(records));
  Message out;
  ASSERT_TRUE(DecodeMessage(bytes, out));
  EXPECT_EQ(std::get<Append>(out).entries[1]->payload(), "put a");
  EXPECT_EQ(std::get<Append>(out).round, 12U);
}

TEST(Messages, CutOrPaddedBytesAreRefused) {
  for (const Message& message : OneOfEach()) {
    const std::string bytes = EncodeMessage(message);
    Message out;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(DecodeMessage(std::string_view(bytes).substr(0, size), out));
    }
    EXPECT_FALSE(DecodeMessage(bytes + "x", out));
  }
}

TEST(Messages, AFlippedBitInARecordIsRefused) {
  const Append append = SomeAppend();
  const std::string bytes = EncodeMessage(append);
  const std::size_t records =
      bytes.size() - append.entries[0]->record().size() - append.entries[1]->record().size();
  for (std::size_t at = records; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      Message out;
      EXPECT_FALSE(DecodeMessage(damaged, out)) << at;
    }
  }
}

TEST(Messages, RandomBytesNeverCrashTheDecoder) {
  Rng rng(3);
  const std::vector<Message> seeds = OneOfEach();
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = EncodeMessage(seeds[rng.Below(seeds.size())]);
    for (std::uint64_t flips = rng.Between(1, 8); flips > 0; --flips) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    bytes.resize(rng.Below(bytes.size() + 1));
    Message out;
    if (DecodeMessage(bytes, out)) {
      EXPECT_EQ(EncodeMessage(out), bytes);
    }
  }
}

TEST(Messages, EntriesThatDoNotFollowAreRefused) {
  Message out;
  Append gap = SomeAppend();
  gap.entries.erase(gap.entries.begin());
  EXPECT_FALSE(DecodeMessage(EncodeMessage(gap), out));
  Append backwards = SomeAppend();
  backwards.prev_term = Term(7);
  EXPECT_FALSE(DecodeMessage(EncodeMessage(backwards), out));
  Append future = SomeAppend();
  future.term = Term(6);
  EXPECT_FALSE(DecodeMessage(EncodeMessage(future), out));
  Append internal = SomeAppend();
  internal.entries[1] = Entry::Make(Term(7), Index(43), RecordKind::kHardState, "");
  EXPECT_FALSE(DecodeMessage(EncodeMessage(internal), out));
}

}  // namespace
}  // namespace coppice::raft
