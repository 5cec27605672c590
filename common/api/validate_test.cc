#include "common/api/validate.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "common/api/errors.h"
#include "common/api/limits.h"
#include "common/api/parse.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

RequestOp Put(const std::string& key) {
  RequestOp op;
  op.mutable_request_put()->set_key(key);
  return op;
}
RequestOp Erase(const std::string& key, const std::string& range_end = "") {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(key);
  op.mutable_request_delete_range()->set_range_end(range_end);
  return op;
}
RequestOp Range(const std::string& key) {
  RequestOp op;
  op.mutable_request_range()->set_key(key);
  return op;
}
TxnRequest Txn(std::initializer_list<RequestOp> success,
               std::initializer_list<RequestOp> failure = {}) {
  TxnRequest txn;
  for (const RequestOp& op : success) *txn.add_success() = op;
  for (const RequestOp& op : failure) *txn.add_failure() = op;
  return txn;
}
RequestOp Nested(const TxnRequest& txn) {
  RequestOp op;
  *op.mutable_request_txn() = txn;
  return op;
}

Status Check(const TxnRequest& txn, int ops_max = 128) {
  return CheckTxn(txn, ops_max);
}
const Status kDuplicate = ToStatus(EtcdError::kDuplicateKey);
const Status kTooMany = ToStatus(EtcdError::kTooManyOps);
const Status kEmptyKey = ToStatus(EtcdError::kEmptyKey);

template <typename Message, typename Out>
Status Parsed(const Message& message, Status (*parse)(std::string_view, Out&)) {
  Out out;
  return parse(message.SerializeAsString(), out);
}

TEST(Validate, ARangeNeedsAKeyAndAKnownSort) {
  etcdserverpb::RangeRequest range;
  EXPECT_EQ(Parsed(range, ParseRange), kEmptyKey);
  range.set_key("k");
  EXPECT_TRUE(Parsed(range, ParseRange).ok());
  range.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(3));
  EXPECT_EQ(Parsed(range, ParseRange), ToStatus(EtcdError::kInvalidSortOption));
  range.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  range.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(-1));
  EXPECT_EQ(Parsed(range, ParseRange), ToStatus(EtcdError::kInvalidSortOption));
}

TEST(Validate, APutTakesNoValueOrLeaseThatItIgnores) {
  etcdserverpb::PutRequest put;
  EXPECT_EQ(Parsed(put, ParsePut), kEmptyKey);
  put.set_key("k");
  put.set_ignore_value(true);
  put.set_ignore_lease(true);
  EXPECT_TRUE(Parsed(put, ParsePut).ok());
  put.set_lease(5);
  EXPECT_EQ(Parsed(put, ParsePut), ToStatus(EtcdError::kLeaseProvided));
  put.set_value("v");
  EXPECT_EQ(Parsed(put, ParsePut), ToStatus(EtcdError::kValueProvided));
}

TEST(Validate, ADeleteNeedsAKey) {
  EXPECT_EQ(Parsed(etcdserverpb::DeleteRangeRequest(), ParseDelete), kEmptyKey);
}

TEST(Validate, OnlyMutationsAreLimitedInSize) {
  const Limits limits{.request_bytes_max = 10};
  const MethodInfo& put = *FindMethod(Method::kPut);
  EXPECT_TRUE(CheckSize(put, 10, limits).ok());
  EXPECT_EQ(CheckSize(put, 11, limits), ToStatus(EtcdError::kRequestTooLarge));
  EXPECT_TRUE(CheckSize(*FindMethod(Method::kRange), 11, limits).ok());
}

TEST(Validate, KeysInATransactionAreNotEmpty) {
  EXPECT_EQ(Check(Txn({Put("")})), kEmptyKey);
  EXPECT_EQ(Check(Txn({}, {Range("")})), kEmptyKey);
  EXPECT_EQ(Check(Txn({Nested(Txn({Erase("")}))})), kEmptyKey);
  TxnRequest txn;
  txn.add_compare();
  EXPECT_EQ(Check(txn), kEmptyKey);
}

TEST(Validate, AnOperationThatIsNotSetIsKeyNotFound) {
  EXPECT_EQ(Check(Txn({RequestOp()})), ToStatus(EtcdError::kKeyNotFound));
}

TEST(Validate, OperationsCountAsTheLongestList) {
  EXPECT_TRUE(Check(Txn({Range("a"), Range("b")}, {Range("c"), Range("d")}), 2).ok());
  EXPECT_EQ(Check(Txn({Range("a"), Range("b"), Range("c")}), 2), kTooMany);
  TxnRequest compares = Txn({Range("a")});
  for (int i = 0; i < 3; ++i) compares.add_compare()->set_key("k");
  EXPECT_EQ(Check(compares, 2), kTooMany);
}

TEST(Validate, ANestedTransactionHasWhatItsParentLeft) {
  const TxnRequest two = Txn({Range("a"), Range("b")});
  EXPECT_TRUE(Check(Txn({Nested(two)}), 3).ok());
  EXPECT_EQ(Check(Txn({Nested(two), Range("c")}), 3), kTooMany);
}

TEST(Validate, AKeyPutTwiceInABranchIsRefused) {
  EXPECT_EQ(Check(Txn({Put("a"), Put("a")})), kDuplicate);
  EXPECT_EQ(Check(Txn({}, {Put("a"), Put("a")})), kDuplicate);
  EXPECT_TRUE(Check(Txn({Put("a")}, {Put("a")})).ok());
  EXPECT_TRUE(Check(Txn({Put("a"), Put("b"), Range("a")})).ok());
}

TEST(Validate, AKeyPutAndDeletedInABranchIsRefused) {
  EXPECT_EQ(Check(Txn({Put("b"), Erase("b")})), kDuplicate);
  EXPECT_EQ(Check(Txn({Erase("a", "c"), Put("b")})), kDuplicate);
  EXPECT_EQ(Check(Txn({Put("a"), Erase("a", "c")})), kDuplicate);
  EXPECT_TRUE(Check(Txn({Erase("a", "c"), Put("c")})).ok());
  EXPECT_TRUE(Check(Txn({Erase("a", "c"), Put("0")})).ok());
}

TEST(Validate, DeletesMayOverlapEachOther) {
  const TxnRequest txn = Txn({Erase("a", "c"), Erase("b", "e"), Erase("e", "g"), Erase("b")});
  EXPECT_TRUE(Check(txn).ok());
  for (const char* key : {"a", "b", "c", "d", "e", "f"}) {
    TxnRequest with_put = txn;
    *with_put.add_success() = Put(key);
    EXPECT_EQ(Check(with_put), kDuplicate) << key;
  }
}

TEST(Validate, ADeleteFromAKeyOnOverlapsNothingAsInEtcd) {
  EXPECT_TRUE(Check(Txn({Erase("a", std::string(1, '\0')), Put("b")})).ok());
}

TEST(Validate, NestedPutsMeetTheirParents) {
  EXPECT_EQ(Check(Txn({Nested(Txn({Put("a")})), Put("a")})), kDuplicate);
  EXPECT_EQ(Check(Txn({Put("a"), Nested(Txn({}, {Put("a")}))})), kDuplicate);
  EXPECT_EQ(Check(Txn({Nested(Txn({Put("a")})), Nested(Txn({Put("a")}))})), kDuplicate);
  EXPECT_EQ(Check(Txn({Nested(Txn({Put("b")})), Erase("a", "c")})), kDuplicate);
  EXPECT_EQ(Check(Txn({Nested(Txn({Erase("a", "c")})), Put("b")})), kDuplicate);
}

TEST(Validate, BothBranchesOfANestedTransactionMayPutTheSameKey) {
  EXPECT_TRUE(Check(Txn({Nested(Txn({Put("a")}, {Put("a")}))})).ok());
  EXPECT_EQ(Check(Txn({Nested(Txn({Put("a")}, {Put("a")})), Nested(Txn({}, {Put("a")}))})),
            kDuplicate);
}

}  // namespace
}  // namespace coppice::api
