#include "common/client/ctl/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coppice::ctl {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;
using testing::HasSubstr;

RangeRequest Get(const GetFlags& flags, const std::vector<std::string>& arguments) {
  RangeRequest out;
  EXPECT_FALSE(flags.Build(arguments, out));
  return out;
}

TEST(GetFlags, PrefixAndFromKeyBecomeRangeEnds) {
  EXPECT_EQ(Get({.prefix = true}, {"foo"}).range_end(), "fop");
  EXPECT_EQ(Get({.from_key = true}, {"foo"}).range_end(), std::string(1, '\0'));
  const RangeRequest all = Get({.prefix = true}, {""});
  EXPECT_EQ(all.key(), std::string(1, '\0'));
  EXPECT_EQ(all.range_end(), std::string(1, '\0'));
}

TEST(GetFlags, AscendingKeysNeedNoSort) {
  EXPECT_EQ(Get({.order = "ascend"}, {"a"}).sort_order(), RangeRequest::NONE);
  EXPECT_EQ(Get({.order = "ascend", .sort_by = "modify"}, {"a"}).sort_order(),
            RangeRequest::ASCEND);
}

TEST(GetFlags, RefusesWhatEtcdctlRefuses) {
  RangeRequest out;
  const std::vector<std::string> one = {"a"};
  const std::vector<std::string> two = {"a", "b"};
  EXPECT_EQ(GetFlags{}.Build({}, out)->code, kExitBadArgs);
  EXPECT_EQ((GetFlags{.prefix = true, .from_key = true}.Build(one, out)->code), kExitBadArgs);
  EXPECT_EQ((GetFlags{.prefix = true}.Build(two, out)->code), kExitBadArgs);
  EXPECT_EQ((GetFlags{.order = "up"}.Build(one, out)->message), "bad sort order up");
  EXPECT_EQ((GetFlags{.sort_by = "q"}.Build(one, out)->message), "bad sort target q");
  EXPECT_EQ((GetFlags{.consistency = "z"}.Build(one, out)->code), kExitBadFeature);
}

TEST(ConsistencyMetadata, EtcdsLettersNeedNone) {
  std::string metadata = "old";
  bool serializable = false;
  EXPECT_FALSE(ConsistencyMetadata("s", metadata, serializable));
  EXPECT_TRUE(serializable);
  EXPECT_EQ(metadata, "");
  EXPECT_FALSE(ConsistencyMetadata("bounded", metadata, serializable));
  EXPECT_FALSE(serializable);
  EXPECT_EQ(metadata, "bounded");
}

TEST(ParseCompare, ReadsEachTarget) {
  Compare out;
  EXPECT_FALSE(ParseCompare(R"(mod("k") > "7")", out));
  EXPECT_EQ(out.key(), "k");
  EXPECT_EQ(out.target(), Compare::MOD);
  EXPECT_EQ(out.result(), Compare::GREATER);
  EXPECT_EQ(out.mod_revision(), 7);
  EXPECT_FALSE(ParseCompare(R"(value("k") != "v w")", out));
  EXPECT_EQ(out.value(), "v w");
  EXPECT_EQ(out.result(), Compare::NOT_EQUAL);
  EXPECT_FALSE(ParseCompare(R"(lease("k") = "ff")", out));
  EXPECT_EQ(out.lease(), 255);
  EXPECT_FALSE(ParseCompare(R"(ver("k") < "1")", out));
  EXPECT_FALSE(ParseCompare(R"(c("k") = "0")", out));
  EXPECT_FALSE(ParseCompare("val(\"k\")\t<\t\"-1\"", out));
  EXPECT_EQ(out.result(), Compare::LESS);
}

TEST(ParseCompare, SaysWhatIsMalformed) {
  Compare out;
  EXPECT_EQ(ParseCompare("foo", out)->message, "malformed comparison: foo");
  EXPECT_THAT(ParseCompare("create(\"x\") > 0", out)->message, HasSubstr("in quotes"));
  EXPECT_THAT(ParseCompare("size(\"x\") > \"0\"", out)->message, HasSubstr("unknown target size"));
  EXPECT_THAT(ParseCompare("mod(\"x\") >= \"0\"", out)->message, HasSubstr("expecting ="));
  EXPECT_THAT(ParseCompare("mod(\"x\") > \"a\"", out)->message, HasSubstr("invalid txn compare"));
  EXPECT_EQ(ParseCompare("mod(\"x\") > \"a\"", out)->code, kExitInvalidInput);
}

TEST(ParseOp, ReadsPutGetAndDel) {
  etcdserverpb::RequestOp out;
  EXPECT_FALSE(ParseOp("put k \"v w\" --prev-kv", out));
  EXPECT_EQ(out.request_put().value(), "v w");
  EXPECT_TRUE(out.request_put().prev_kv());
  EXPECT_FALSE(ParseOp("get k --prefix", out));
  EXPECT_EQ(out.request_range().range_end(), "l");
  EXPECT_FALSE(ParseOp("del a b", out));
  EXPECT_EQ(out.request_delete_range().range_end(), "b");
}

// So that a line that works alone works in a transaction, as with etcdctl.
TEST(ParseOp, TakesPrintValueOnlyWhichSaysNothingThere) {
  etcdserverpb::RequestOp out;
  EXPECT_FALSE(ParseOp("get k --prefix --print-value-only", out));
  EXPECT_EQ(out.request_range().range_end(), "l");
}

TEST(ParseOp, RefusesTheRest) {
  etcdserverpb::RequestOp out;
  for (const char* line : {"put", "post k v", "get k --nope", "get \"k"}) {
    const Outcome failed = ParseOp(line, out);
    ASSERT_TRUE(failed) << line;
    EXPECT_EQ(failed->code, kExitInvalidInput);
    EXPECT_THAT(failed->message, HasSubstr("invalid txn request"));
  }
}

TEST(ParseOp, WrongArgumentsEndAsTheyDoOutsideATransaction) {
  etcdserverpb::RequestOp out;
  for (const char* line : {"put k", "get --limit=1", "del a b c", "put k v --lease=xyz",
                           "get k --prefix --from-key"}) {
    const Outcome failed = ParseOp(line, out);
    ASSERT_TRUE(failed) << line;
    EXPECT_EQ(failed->code, kExitBadArgs) << line;
  }
  EXPECT_EQ(ParseOp("get k --order=x", out)->code, kExitBadFeature);
}

}  // namespace
}  // namespace coppice::ctl
