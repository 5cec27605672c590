#include "common/api/encode.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/base/coding.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

const ResponseHeader kHeader = {.cluster_id = UINT64_MAX,
                                .member_id = NodeId(0xcdf818194e3a8c32),
                                .revision = INT64_MAX,
                                .raft_term = Term(UINT64_MAX)};
const ResponseHeader kSmallHeader = {
    .cluster_id = 1, .member_id = NodeId(2), .revision = 3, .raft_term = Term(4)};

std::string KeyValue(const std::string& key, const std::string& value) {
  mvccpb::KeyValue kv;
  kv.set_key(key);
  kv.set_value(value);
  kv.set_create_revision(2);
  kv.set_mod_revision(300);
  kv.set_version(5);
  return kv.SerializeAsString();
}
std::string Framed(std::uint32_t field, std::initializer_list<std::string> messages) {
  std::string out;
  for (const std::string& message : messages) PutBytesField(out, field, message);
  return out;
}

// The bytes are canonical: libprotobuf reads them and writes them again just so.
template <typename Message>
Message Read(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  EXPECT_EQ(message.SerializeAsString(), bytes);
  return message;
}

std::string Join(const RangeResponse& response) {
  std::string out;
  for (std::string_view piece : response.pieces()) out.append(piece);
  return out;
}

TEST(Encode, ARangeIsWhatProtobufWouldWrite) {
  const std::string kvs = Framed(2, {KeyValue("a", "1"), KeyValue("b", std::string(300, 'x'))});
  for (const ResponseHeader& header : {kHeader, kSmallHeader}) {
    const auto got =
        Read<etcdserverpb::RangeResponse>(Join(RangeResponse(header, kvs, true, 1000)));
    EXPECT_EQ(got.header().cluster_id(), header.cluster_id);
    EXPECT_EQ(got.header().member_id(), header.member_id.value());
    EXPECT_EQ(got.header().revision(), header.revision);
    EXPECT_EQ(got.header().raft_term(), header.raft_term.value());
    ASSERT_EQ(got.kvs_size(), 2);
    EXPECT_EQ(got.kvs(1).key(), "b");
    EXPECT_TRUE(got.more());
    EXPECT_EQ(got.count(), 1000);
  }
}

TEST(Encode, AnEmptyRangeIsItsHeader) {
  const auto got =
      Read<etcdserverpb::RangeResponse>(Join(RangeResponse(kSmallHeader, {}, false, 0)));
  EXPECT_EQ(got.kvs_size(), 0);
  EXPECT_FALSE(got.more());
}

TEST(Encode, ARangesKvsAreNotCopied) {
  const std::string kvs = Framed(2, {KeyValue("a", "1")});
  const RangeResponse response(kSmallHeader, kvs, false, 1);
  EXPECT_EQ(response.pieces()[1].data(), kvs.data());
}

TEST(Encode, APutCarriesWhatWasThere) {
  std::string out;
  EncodePut(kHeader, {}, out);
  EXPECT_FALSE(Read<etcdserverpb::PutResponse>(out).has_prev_kv());
  out.clear();
  mvcc::PutResult result;
  result.prev_kv = KeyValue("a", "old");
  EncodePut(kHeader, result, out);
  EXPECT_EQ(Read<etcdserverpb::PutResponse>(out).prev_kv().value(), "old");
}

TEST(Encode, ADeleteCarriesWhatItDeleted) {
  mvcc::DeleteResult result;
  result.deleted = 2;
  result.prev_kvs = Framed(3, {KeyValue("a", "1"), KeyValue("b", "2")});
  std::string out;
  EncodeDelete(kHeader, result, out);
  const auto got = Read<etcdserverpb::DeleteRangeResponse>(out);
  EXPECT_EQ(got.deleted(), 2);
  EXPECT_EQ(got.prev_kvs(1).key(), "b");
}

TEST(Encode, ATransactionNestsItsResponses) {
  mvcc::TxnResult result;
  result.succeeded = true;
  mvcc::RangeResult range;
  range.revision = 8;
  range.kvs = Framed(2, {KeyValue("a", std::string(500, 'v'))});
  range.count = 1;
  mvcc::PutResult put;
  put.revision = 9;
  put.prev_kv = KeyValue("p", "old");
  mvcc::DeleteResult erase;
  erase.revision = 9;
  auto inner = std::make_unique<mvcc::TxnResult>();
  inner->responses.emplace_back(range);
  inner->responses.emplace_back(erase);
  result.responses.emplace_back(range);
  result.responses.emplace_back(put);
  result.responses.emplace_back(std::move(inner));
  result.responses.emplace_back(erase);
  std::string out;
  EncodeTxn(kSmallHeader, result, out);
  const auto got = Read<etcdserverpb::TxnResponse>(out);
  EXPECT_TRUE(got.succeeded());
  ASSERT_EQ(got.responses_size(), 4);
  EXPECT_EQ(got.responses(0).response_range().header().revision(), 8);
  EXPECT_EQ(got.responses(0).response_range().kvs(0).value().size(), 500u);
  EXPECT_EQ(got.responses(1).response_put().prev_kv().value(), "old");
  const auto& nested = got.responses(2).response_txn();
  EXPECT_TRUE(nested.has_header());
  EXPECT_FALSE(nested.succeeded());
  EXPECT_EQ(nested.responses(0).response_range().count(), 1);
  EXPECT_EQ(nested.responses(1).response_delete_range().header().revision(), 9);
  EXPECT_EQ(got.responses(3).response_delete_range().deleted(), 0);
}

TEST(Encode, ACompactionIsAHeader) {
  std::string out;
  EncodeHeaderOnly(kHeader, out);
  EXPECT_EQ(Read<etcdserverpb::CompactionResponse>(out).header().revision(), INT64_MAX);
}

TEST(Encode, AnAlarmIsNamedIfItWasRaisedOrCleared) {
  std::string out;
  EncodeAlarm(kHeader, {NodeId(7), mvcc::AlarmType::kNoSpace}, out);
  const auto got = Read<etcdserverpb::AlarmResponse>(out);
  EXPECT_EQ(got.header().revision(), INT64_MAX);
  ASSERT_EQ(got.alarms_size(), 1);
  EXPECT_EQ(got.alarms(0).memberid(), 7U);
  EXPECT_EQ(got.alarms(0).alarm(), etcdserverpb::NOSPACE);
  out.clear();
  EncodeAlarm(kHeader, {}, out);
  EXPECT_EQ(Read<etcdserverpb::AlarmResponse>(out).alarms_size(), 0);
}

}  // namespace
}  // namespace coppice::api
