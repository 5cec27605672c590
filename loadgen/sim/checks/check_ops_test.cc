#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/api/errors.h"
#include "loadgen/sim/checks/run_script.h"

namespace coppice::sim {
namespace {

using api::EtcdError;
using ::testing::Contains;

std::string Text(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& violation : violations) out += violation.property + ": " + violation.what;
  return out;
}

template <typename Message>
void Change(std::string& bytes, const std::function<void(Message&)>& change) {
  Message message;
  ASSERT_TRUE(message.ParseFromString(bytes));
  change(message);
  message.SerializeToString(&bytes);
}

// Revisions 2 to 5: a, b, a again, and both in one transaction.
void Fill(RunScript& script) {
  script.Put("k/a");
  script.Put("k/b");
  script.Put("k/a", /*prev_kv=*/true);
  script.PutAll({"k/a", "k/b"});
}

TEST(CheckOps, AcceptsARunInWhichAllIsTrue) {
  RunScript script;
  Fill(script);
  script.Get("k/a");
  script.Get("k/a", ReadMode::kSerializable, 3);
  script.Get("k/b", ReadMode::kBounded);
  script.Delete("k/a");
  script.Get("k/a");
  etcdserverpb::RangeRequest old;
  old.set_key("k");
  old.set_range_end("l");
  old.set_revision(3);
  script.Read(old, ReadMode::kLinearizable, 0);
  script.Compact(4);
  script.Loses(script.Put("k/c"));
  script.Get("k/c");
  EXPECT_EQ(Text(script.Check()), "");
}

TEST(CheckOps, FindsDataThatIsNotTheRevisions) {
  for (const auto& [mode, property] :
       {std::pair{ReadMode::kLinearizable, "U1"}, std::pair{ReadMode::kSerializable, "S1"}}) {
    RunScript script;
    Fill(script);
    Change<etcdserverpb::RangeResponse>(script.Get("k/a", mode).response, [](auto& response) {
      response.mutable_kvs(0)->set_value("@1@");
    });
    EXPECT_THAT(script.Broken(), Contains(property));
  }
}

TEST(CheckOps, FindsARewrittenRevision) {
  RunScript script;
  Fill(script);
  script.Get("k/a", ReadMode::kSerializable, 3).revision = 5;
  EXPECT_THAT(script.Broken(), Contains("S1"));
}

TEST(CheckOps, FindsHalfOfATransaction) {
  RunScript script;
  Fill(script);
  etcdserverpb::RangeRequest all;
  all.set_key("k");
  all.set_range_end("l");
  Change<etcdserverpb::RangeResponse>(
      script.Read(all, ReadMode::kLinearizable, 0).response,
      [](auto& response) { response.mutable_kvs(1)->set_mod_revision(3); });
  EXPECT_THAT(script.Broken(), Contains("U1"));
}

TEST(CheckOps, FindsAWrongResultOfAMutation) {
  RunScript script;
  script.Put("k/a");
  Change<etcdserverpb::PutResponse>(script.Put("k/a", true).response,
                                    [](auto& response) { response.clear_prev_kv(); });
  EXPECT_THAT(script.Broken(), Contains("U1"));
}

TEST(CheckOps, FindsAnAcknowledgedWriteThatTheLogHasNot) {
  RunScript script;
  Fill(script);
  script.Put("k/z");
  script.log().pop_back();
  EXPECT_THAT(script.Broken(), Contains("U2"));
}

TEST(CheckOps, FindsARefusedWriteThatTookPlace) {
  RunScript script;
  script.Refuse(script.Put("k/a"), api::ToStatus(EtcdError::kNoLeader));
  EXPECT_THAT(script.Broken(), Contains("U2"));
}

TEST(CheckOps, FindsAWriteThatWasSentTwice) {
  RunScript script;
  script.Loses(script.Put("k/a"));
  const EntryPtr twice =
      Entry::Make(Term(1), Index(2), RecordKind::kCommand, script.log().back()->payload());
  script.log().push_back(twice);
  EXPECT_THAT(script.Broken(), Contains("once"));
}

TEST(CheckOps, FindsARevisionThatTheClusterWentBackFrom) {
  RunScript script;
  Fill(script);
  script.Get("k/a");
  script.log().pop_back();
  EXPECT_THAT(script.Broken(), Contains("U5"));
}

TEST(CheckOps, FindsAStaleLinearizableRead) {
  RunScript script;
  Fill(script);
  script.Get("k/b", ReadMode::kLinearizable, 4);
  const auto broken = script.Broken();
  EXPECT_THAT(broken, Contains("L1"));
  EXPECT_THAT(broken, Contains("register"));
}

TEST(CheckOps, FindsAWriteOrderedBeforeWhatWasSeen) {
  RunScript script;
  OpRecord& first = script.Put("k/a");
  OpRecord& second = script.Put("k/b");
  std::swap(first.invoke, second.invoke);
  std::swap(first.end, second.end);
  EXPECT_THAT(script.Broken(), Contains("L2"));
}

TEST(CheckOps, FindsABoundedReadThatIsTooOldOnly) {
  for (const Micros wait : {Micros{20}, Micros{500}}) {
    RunScript script;
    Fill(script);
    script.Wait(wait);
    script.Get("k/b", ReadMode::kBounded, 4);
    if (wait > 100) {
      EXPECT_THAT(script.Broken(), Contains("B1"));
    } else {
      EXPECT_EQ(Text(script.Check()), "");
    }
  }
}

TEST(CheckOps, ASlowClockMakesABoundLonger) {
  RunScript script;
  Fill(script);
  script.Wait(150);
  script.Get("k/b", ReadMode::kBounded, 4);
  script.aftermath().clock_rate_min = 0.5;
  EXPECT_EQ(Text(script.Check()), "");
}

TEST(CheckOps, FindsATrailerThatFlatters) {
  RunScript script;
  Fill(script);
  script.Wait(500);
  script.Get("k/b", ReadMode::kSerializable, 4).staleness = 50;
  EXPECT_THAT(script.Broken(), Contains("B1"));
}

TEST(CheckOps, FindsAReadBelowItsMinimumRevision) {
  RunScript script;
  Fill(script);
  script.Get("k/a", ReadMode::kSerializable, 3).consistency.min_revision = 4;
  EXPECT_THAT(script.Broken(), Contains("B2"));
}

TEST(CheckOps, NamesWhatASessionLost) {
  for (const auto& [own, property] :
       {std::pair{true, "read-your-writes"}, std::pair{false, "monotonic-reads"}}) {
    RunScript script;
    Fill(script);
    OpRecord& read = script.Get("k/a", ReadMode::kSerializable, 3);
    read.consistency.min_revision = 4;
    read.in_session = true;
    read.own_write = own;
    EXPECT_THAT(script.Broken(), Contains(property));
  }
}

TEST(CheckOps, FindsAWriteThatDoesNotFollowTheSessionsReads) {
  RunScript script;
  Fill(script);
  OpRecord& put = script.Put("k/a");
  put.in_session = true;
  put.consistency.min_revision = put.revision;
  EXPECT_THAT(script.Broken(), Contains("writes-follow-reads"));
}

TEST(CheckOps, FindsAFutureThatIsNone) {
  RunScript script;
  Fill(script);
  OpRecord& read = script.Get("k/a");
  read.consistency.min_revision = 4;
  script.Refuse(read, api::ToStatus(EtcdError::kFutureRev));
  EXPECT_THAT(script.Broken(), Contains("B3"));
}

TEST(CheckOps, AcceptsTheRefusalOfATrueFuture) {
  RunScript script;
  Fill(script);
  OpRecord& read = script.Get("k/a");
  read.consistency.min_revision = 99;
  script.Refuse(read, api::ToStatus(EtcdError::kFutureRev));
  EXPECT_EQ(Text(script.Check()), "");
}

TEST(CheckOps, FindsAnAnswerToAnotherClustersSession) {
  RunScript script;
  Fill(script);
  script.Get("k/a").other_cluster = true;
  EXPECT_THAT(script.Broken(), Contains("B3"));
}

TEST(CheckOps, FindsAnErrorThatNothingExplains) {
  RunScript script;
  Fill(script);
  script.Refuse(script.Get("k/a"), MakeStatus(StatusCode::kInvalidArgument, "why?"));
  EXPECT_THAT(script.Broken(), Contains("B3"));
}

TEST(CheckOps, FindsAWrongOldState) {
  RunScript script;
  Fill(script);
  etcdserverpb::RangeRequest old;
  old.set_key("k/a");
  old.set_revision(3);
  Change<etcdserverpb::RangeResponse>(script.Read(old, ReadMode::kLinearizable, 0).response,
                                      [](auto& response) { response.clear_kvs(); });
  EXPECT_THAT(script.Broken(), Contains("S2"));
}

TEST(CheckOps, FindsAReadOfWhatIsCompacted) {
  RunScript script;
  Fill(script);
  script.Compact(5);
  etcdserverpb::RangeRequest old;
  old.set_key("k/a");
  old.set_revision(3);
  script.Read(old, ReadMode::kLinearizable, 0);
  EXPECT_THAT(script.Broken(), Contains("S2"));
}

TEST(CheckOps, FindsARefusalOfWhatIsNotCompacted) {
  RunScript script;
  Fill(script);
  script.Compact(3);
  etcdserverpb::RangeRequest old;
  old.set_key("k/a");
  old.set_revision(3);
  script.Refuse(script.Read(old, ReadMode::kLinearizable, 0), api::ToStatus(EtcdError::kCompacted));
  EXPECT_THAT(script.Broken(), Contains("S2"));
}

TEST(CheckOps, FindsARequestThatNobodyAnsweredInHealth) {
  for (const bool dead_connection : {true, false}) {
    RunScript script;
    Fill(script);
    const Time before = script.now();
    script.history().healed_at = before + 1;
    script.Wait(60 * kSecond);
    OpRecord& read = script.Get("k/a");
    read.outcome = Outcome::kUnknown;
    read.heard_at = dead_connection ? before : before + 2;
    EXPECT_EQ(script.Broken().contains("live"), !dead_connection);
  }
}

TEST(CheckStores, FindsANodeWithAnotherHash) {
  RunScript script;
  Fill(script);
  StoreState store;
  store.name = "l1";
  store.revision = script.oracle().revision();
  store.hash = script.oracle().Hash(store.revision);
  script.aftermath().stores = {store};
  EXPECT_EQ(Text(script.Check()), "");
  script.aftermath().stores[0].hash ^= 1;
  EXPECT_THAT(script.Broken(), Contains("U4"));
}

TEST(CheckStores, FindsANodeThatNeverCaughtUp) {
  RunScript script;
  Fill(script);
  StoreState store;
  store.name = "l1";
  store.revision = 3;
  store.hash = script.oracle().Hash(3);
  script.aftermath().stores = {store};
  EXPECT_THAT(script.Broken(), Contains("live"));
}

TEST(CheckStores, FindsLogsThatDiffer) {
  RunScript script;
  Fill(script);
  VoterLog other{"v2", Index(1), script.log()};
  other.entries[1] = Entry::Make(Term(2), Index(2), RecordKind::kNoop, std::string_view());
  script.aftermath().logs = {other};
  EXPECT_THAT(script.Broken(), Contains("U4"));
}

TEST(CheckStores, FindsAHashThatAClientWasToldWrongly) {
  RunScript script;
  Fill(script);
  OpRecord& op = script.Get("k/a");
  op.kind = OpKind::kHashKv;
  etcdserverpb::HashKVResponse response;
  response.set_hash_revision(3);
  response.set_hash(script.oracle().Hash(3));
  op.response = response.SerializeAsString();
  EXPECT_EQ(Text(script.Check()), "");
  response.set_hash(response.hash() + 1);
  op.response = response.SerializeAsString();
  EXPECT_THAT(script.Broken(), Contains("U4"));
}

}  // namespace
}  // namespace coppice::sim
