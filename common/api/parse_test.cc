#include "common/api/parse.h"

#include <gtest/gtest.h>

#include <string>

#include "common/api/errors.h"
#include "common/base/coding.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

TEST(Parse, EveryFieldOfARangeArrives) {
  etcdserverpb::RangeRequest in;
  in.set_key("a");
  in.set_range_end("c");
  in.set_limit(10);
  in.set_revision(7);
  in.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  in.set_sort_target(etcdserverpb::RangeRequest::VALUE);
  in.set_serializable(true);
  in.set_keys_only(true);
  in.set_count_only(true);
  in.set_min_mod_revision(1);
  in.set_max_mod_revision(2);
  in.set_min_create_revision(3);
  in.set_max_create_revision(INT64_MAX);
  ParsedRange out;
  ASSERT_TRUE(ParseRange(in.SerializeAsString(), out).ok());
  EXPECT_EQ(out.op.range, mvcc::KeyRange::FromWire("a", "c"));
  EXPECT_EQ(out.op.limit, 10);
  EXPECT_EQ(out.op.revision, 7);
  EXPECT_EQ(out.op.sort_order, mvcc::SortOrder::kDescend);
  EXPECT_EQ(out.op.sort_target, mvcc::SortTarget::kValue);
  EXPECT_TRUE(out.serializable && out.op.keys_only && out.op.count_only);
  EXPECT_EQ(out.op.min_mod_revision, 1);
  EXPECT_EQ(out.op.max_mod_revision, 2);
  EXPECT_EQ(out.op.min_create_revision, 3);
  EXPECT_EQ(out.op.max_create_revision, INT64_MAX);
}

TEST(Parse, NegativeLimitAndRevisionMeanNone) {
  etcdserverpb::RangeRequest in;
  in.set_key("a");
  in.set_limit(-1);
  in.set_revision(-5);
  ParsedRange out;
  ASSERT_TRUE(ParseRange(in.SerializeAsString(), out).ok());
  EXPECT_EQ(out.op.limit, 0);
  EXPECT_EQ(out.op.revision, 0);
}

// etcd's check of a transaction compares it with the compaction, where a Range takes the newest.
TEST(Parse, ATransactionsNegativeRevisionIsKept) {
  etcdserverpb::TxnRequest in;
  auto* range = in.add_success()->mutable_request_range();
  range->set_key("a");
  range->set_limit(-1);
  range->set_revision(-5);
  mvcc::TxnOp out;
  ASSERT_TRUE(ParseTxn(in.SerializeAsString(), {}, out).ok());
  EXPECT_EQ(std::get<mvcc::RangeOp>(out.success.at(0)).revision, -5);
  EXPECT_EQ(std::get<mvcc::RangeOp>(out.success.at(0)).limit, 0);
}

TEST(Parse, AResultHoldsNothingOfTheOneBefore) {
  etcdserverpb::PutRequest in;
  in.set_key("a");
  in.set_value("v");
  in.set_lease(9);
  in.set_prev_kv(true);
  mvcc::PutOp out;
  ASSERT_TRUE(ParsePut(in.SerializeAsString(), out).ok());
  EXPECT_EQ(out.value, "v");
  in.Clear();
  in.set_key("b");
  ASSERT_TRUE(ParsePut(in.SerializeAsString(), out).ok());
  EXPECT_EQ(out.key, "b");
  EXPECT_EQ(out.value, "");
  EXPECT_EQ(out.lease, 0);
  EXPECT_FALSE(out.prev_kv);
}

TEST(Parse, BytesThatAreNoMessageAreMalformed) {
  const std::string bad = "\x0a\x7f";  // a key of 127 bytes that are not there
  ParsedRange range;
  mvcc::PutOp put;
  mvcc::DeleteOp erase;
  mvcc::TxnOp txn;
  ParsedCompact compact;
  EXPECT_EQ(ParseRange(bad, range), Malformed("etcdserverpb.RangeRequest"));
  EXPECT_EQ(ParsePut(bad, put), Malformed("etcdserverpb.PutRequest"));
  EXPECT_EQ(ParseDelete(bad, erase), Malformed("etcdserverpb.DeleteRangeRequest"));
  EXPECT_EQ(ParseTxn(bad, {}, txn), Malformed("etcdserverpb.TxnRequest"));
  EXPECT_EQ(ParseCompact(bad, compact), Malformed("etcdserverpb.CompactionRequest"));
}

TEST(Parse, ATransactionArrivesWhole) {
  etcdserverpb::TxnRequest in;
  auto* compare = in.add_compare();
  compare->set_key("a");
  compare->set_range_end("b");
  compare->set_target(etcdserverpb::Compare::VALUE);
  compare->set_result(etcdserverpb::Compare::NOT_EQUAL);
  compare->set_value("x");
  compare = in.add_compare();
  compare->set_key("k");
  compare->set_target(etcdserverpb::Compare::MOD);
  compare->set_version(4);  // not what the target names
  in.add_success()->mutable_request_put()->set_key("p");
  in.add_success()->mutable_request_delete_range()->set_key("d");
  auto* nested = in.add_failure()->mutable_request_txn();
  nested->add_success()->mutable_request_range()->set_key("r");
  mvcc::TxnOp out;
  ASSERT_TRUE(ParseTxn(in.SerializeAsString(), {}, out).ok());
  ASSERT_EQ(out.compares.size(), 2u);
  EXPECT_EQ(out.compares[0].range, mvcc::KeyRange::FromWire("a", "b"));
  EXPECT_EQ(out.compares[0].value, "x");
  EXPECT_EQ(out.compares[0].result, mvcc::CompareResult::kNotEqual);
  EXPECT_EQ(out.compares[1].target, mvcc::CompareTarget::kMod);
  EXPECT_EQ(out.compares[1].number, 0);
  ASSERT_EQ(out.success.size(), 2u);
  EXPECT_EQ(std::get<mvcc::PutOp>(out.success[0]).key, "p");
  EXPECT_TRUE(std::get<mvcc::DeleteOp>(out.success[1]).range.SingleKey());
  ASSERT_EQ(out.failure.size(), 1u);
  const auto& inner = *std::get<std::unique_ptr<mvcc::TxnOp>>(out.failure[0]);
  EXPECT_EQ(std::get<mvcc::RangeOp>(inner.success.at(0)).range.begin, "r");
}

TEST(Parse, UnknownComparesAreRefused) {
  etcdserverpb::TxnRequest in;
  in.add_compare()->set_key("a");
  in.mutable_compare(0)->set_target(static_cast<etcdserverpb::Compare::CompareTarget>(9));
  mvcc::TxnOp out;
  EXPECT_EQ(ParseTxn(in.SerializeAsString(), {}, out).code(), StatusCode::kInvalidArgument);
}

TEST(Parse, ADeeplyNestedTransactionIsRefusedWithoutHarm) {
  etcdserverpb::TxnRequest in;
  in.add_success()->mutable_request_put()->set_key("k");
  std::string bytes = in.SerializeAsString();
  for (int depth = 0; depth < 2000; ++depth) {
    std::string op;
    PutBytesField(op, 4, bytes);
    bytes.clear();
    PutBytesField(bytes, 2, op);
  }
  mvcc::TxnOp out;
  EXPECT_FALSE(ParseTxn(bytes, {}, out).ok());
  TxnRouting routing;
  EXPECT_FALSE(ScanTxnRouting(bytes, routing));
}

TEST(Routing, OfARangeIsItsRevisionAndItsFlag) {
  etcdserverpb::RangeRequest in;
  in.set_key("a");
  RangeRouting out;
  ASSERT_TRUE(ScanRangeRouting(in.SerializeAsString(), out));
  EXPECT_EQ(out.revision, 0);
  EXPECT_FALSE(out.serializable);
  in.set_revision(1LL << 40);
  in.set_serializable(true);
  ASSERT_TRUE(ScanRangeRouting(in.SerializeAsString(), out));
  EXPECT_EQ(out.revision, 1LL << 40);
  EXPECT_TRUE(out.serializable);
}

TEST(Routing, OfATransactionSaysWhetherItCanWrite) {
  etcdserverpb::TxnRequest in;
  TxnRouting out;
  ASSERT_TRUE(ScanTxnRouting(in.SerializeAsString(), out));
  EXPECT_TRUE(out.read_only && out.serializable);

  in.add_success()->mutable_request_range()->set_key("a");
  in.mutable_success(0)->mutable_request_range()->set_serializable(true);
  ASSERT_TRUE(ScanTxnRouting(in.SerializeAsString(), out));
  EXPECT_TRUE(out.read_only && out.serializable);

  auto* nested = in.add_failure()->mutable_request_txn();
  nested->add_failure()->mutable_request_range()->set_key("b");
  ASSERT_TRUE(ScanTxnRouting(in.SerializeAsString(), out));
  EXPECT_TRUE(out.read_only);
  EXPECT_FALSE(out.serializable);

  nested->add_success()->mutable_request_delete_range()->set_key("b");
  ASSERT_TRUE(ScanTxnRouting(in.SerializeAsString(), out));
  EXPECT_FALSE(out.read_only);
}

TEST(Routing, OfAMemberList) {
  etcdserverpb::MemberListRequest in;
  EXPECT_FALSE(ScanMemberListLinearizable(in.SerializeAsString()));
  in.set_linearizable(true);
  EXPECT_TRUE(ScanMemberListLinearizable(in.SerializeAsString()));
}

}  // namespace
}  // namespace coppice::api
