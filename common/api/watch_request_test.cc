#include "common/api/watch_request.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/coding.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

std::string CreateOf(const std::string& key) {
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(key);
  return request.SerializeAsString();
}

std::string CancelOf(std::int64_t id) {
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(id);
  return request.SerializeAsString();
}

std::string Nested(int depth) {
  std::string groups(static_cast<std::size_t>(depth), '\x5b');  // groups of field 11, opened
  return groups + std::string(static_cast<std::size_t>(depth), '\x5c');
}

std::string Inside(const std::string& create) {
  std::string bytes;
  PutBytesField(bytes, 1, create);
  return bytes;
}

// Found by the fuzz target `requests`: a client newer than us may send what we do not know.
TEST(WatchRequest, UnknownGroupsAreSkippedAtBothLevels) {
  WatchRequest got;
  ASSERT_TRUE(ParseWatchRequest(Nested(1) + Inside("\x0a\x01k" + Nested(1)), got));
  EXPECT_EQ(got.kind, WatchRequest::Kind::kCreate);
  EXPECT_EQ(got.create.range, mvcc::KeyRange::FromWire("k", ""));
}

TEST(WatchRequest, GroupsNestAsDeepAsProtobufLetsThem) {
  for (const std::string& bytes :
       {Nested(99), Nested(100), Nested(101), Inside(Nested(98)), Inside(Nested(99)),
        Inside(Nested(100)), Nested(1) + "\x5c", Inside(Nested(1) + "\x5c")}) {
    etcdserverpb::WatchRequest oracle;
    WatchRequest got;
    EXPECT_EQ(ParseWatchRequest(bytes, got), oracle.ParseFromString(bytes)) << bytes.size();
  }
}

TEST(WatchRequest, AMemberOfTheUnionIsMergedIntoItsOwnKind) {
  etcdserverpb::WatchRequest more;
  more.mutable_create_request()->set_start_revision(7);
  WatchRequest got;
  ASSERT_TRUE(ParseWatchRequest(CreateOf("k") + more.SerializeAsString(), got));
  EXPECT_EQ(got.create.range, mvcc::KeyRange::FromWire("k", ""));
  EXPECT_EQ(got.create.start, 7);
}

TEST(WatchRequest, TheLastKindOfTheUnionStands) {
  WatchRequest got;
  ASSERT_TRUE(ParseWatchRequest(CreateOf("k") + CancelOf(3), got));
  EXPECT_EQ(got.kind, WatchRequest::Kind::kCancel);
  EXPECT_EQ(got.cancel_id, 3);
  ASSERT_TRUE(ParseWatchRequest(CreateOf("k") + CancelOf(3) + CreateOf(""), got));
  EXPECT_EQ(got.kind, WatchRequest::Kind::kCreate);
  EXPECT_EQ(got.create.range, mvcc::KeyRange::FromWire(std::string(1, '\0'), ""));
  EXPECT_EQ(got.cancel_id, 0);
}

}  // namespace
}  // namespace coppice::api
