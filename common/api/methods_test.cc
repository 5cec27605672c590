#include "common/api/methods.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace coppice::api {
namespace {

TEST(Methods, AreEtcdsLocksElectionsHealthAndOurOwn) {
  std::map<std::string, int> per_service;
  for (const MethodInfo& info : Methods()) {
    const std::string path(info.path);
    ++per_service[path.substr(1, path.rfind('/') - 1)];
  }
  const std::map<std::string, int> expected = {
      {"etcdserverpb.KV", 6},      {"etcdserverpb.Watch", 1},       {"etcdserverpb.Lease", 5},
      {"etcdserverpb.Cluster", 5}, {"etcdserverpb.Maintenance", 8}, {"etcdserverpb.Auth", 17},
      {"v3lockpb.Lock", 2},        {"v3electionpb.Election", 5},    {"grpc.health.v1.Health", 2},
      {"coppice.Admin", 1}};
  EXPECT_EQ(per_service, expected);
}

TEST(Methods, PathsAndNumbersAreUnique) {
  std::set<std::string_view> paths;
  std::set<Method> numbers;
  for (const MethodInfo& info : Methods()) {
    EXPECT_TRUE(paths.insert(info.path).second) << info.path;
    if (info.method != Method::kUnknown) {
      EXPECT_TRUE(numbers.insert(info.method).second) << info.path;
    }
  }
}

TEST(Methods, AreFoundByNumberAndByPath) {
  for (const MethodInfo& info : Methods()) {
    EXPECT_EQ(FindMethod(info.path), &info);
    if (info.method != Method::kUnknown) {
      EXPECT_EQ(FindMethod(info.method), &info);
    }
  }
  EXPECT_EQ(FindMethod(Method::kUnknown), nullptr);
  EXPECT_EQ(FindMethod(static_cast<Method>(65535)), nullptr);
  EXPECT_EQ(FindMethod("/etcdserverpb.KV/Nothing"), nullptr);
}

TEST(Methods, NoWriteIsRetrySafe) {
  for (const MethodInfo& info : Methods()) {
    EXPECT_FALSE(info.writes && info.retry_safe) << info.path;
  }
}

TEST(Methods, AuthNumbersFollowTheProtoFile) {
  EXPECT_EQ(FindMethod("/etcdserverpb.Auth/AuthEnable")->method, Method::kAuthFirst);
  EXPECT_EQ(static_cast<int>(FindMethod("/etcdserverpb.Auth/RoleRevokePermission")->method),
            static_cast<int>(Method::kAuthFirst) + 16);
}

TEST(Methods, UnbuiltOnesSayWhichTheyAre) {
  const Status status = NotImplemented("/etcdserverpb.Lease/LeaseGrant");
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_EQ(MessageOf(status), "etcdserver: not implemented yet: /etcdserverpb.Lease/LeaseGrant");
}

}  // namespace
}  // namespace coppice::api
