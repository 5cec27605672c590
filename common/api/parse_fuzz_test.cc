// Random bytes and random mutations of valid messages: the scanners by hand and libprotobuf accept
// the same ones and read the same values; nothing crashes.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "common/api/errors.h"
#include "common/api/parse.h"
#include "common/api/validate.h"
#include "common/api/watch_request.h"
#include "common/base/rng.h"
#include "etcd/rpc.pb.h"

namespace coppice::api {
namespace {

constexpr int kRounds = 60'000;

std::string RandomBytes(Rng& rng, std::size_t max) {
  std::string bytes(rng.Below(max + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(rng.Next());
  return bytes;
}
std::int64_t RandomNumber(Rng& rng) {
  return static_cast<std::int64_t>(rng.Next() >> rng.Below(64)) * (rng.Chance(0.1) ? -1 : 1);
}

// What hand-written readers get wrong: overlong varints, groups, cut and repeated fields.
void Mutate(Rng& rng, std::string& bytes) {
  const std::size_t at = rng.Below(bytes.size() + 1);
  switch (rng.Below(8)) {
    case 0:
      bytes.resize(at);
      break;
    case 1:
      bytes.insert(at, RandomBytes(rng, 4));
      break;
    case 2:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.Below(8)));
      break;
    case 3:
      if (at < bytes.size()) bytes.erase(at, rng.Between(1, 3));
      break;
    case 4:
      bytes.insert(at, rng.Below(12), '\x80');
      break;
    case 5:  // a group, whole, of field 20: with a varint in it, or nothing
      bytes.insert(at, rng.Chance(0.5) ? std::string("\xa3\x01\xa4\x01", 4)
                                       : std::string("\xa3\x01\x08\x07\xa4\x01", 6));
      break;
    case 6:
      bytes += bytes.substr(at);
      break;
    default:
      if (at < bytes.size()) bytes[at] = static_cast<char>(rng.Next());
      break;
  }
}

// Calls `check` with encodings of messages that `fill` fills, whole and mutated, and with noise.
template <typename Message>
void ForMany(std::uint64_t stream, const std::function<void(Rng&, Message&)>& fill,
             const std::function<void(const std::string&)>& check) {
  Rng rng(20'261'121, stream);
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes;
    if (rng.Chance(0.05)) {
      bytes = RandomBytes(rng, 30);
    } else {
      Message message;
      fill(rng, message);
      bytes = message.SerializeAsString();
      for (std::uint64_t n = rng.Below(4); n > 0; --n) Mutate(rng, bytes);
    }
    check(bytes);
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << "round " << round << " of stream " << stream;
      return;
    }
  }
}

// True if both accept; the statuses must tell malformed bytes alike.
template <typename Message>
bool BothAccept(const std::string& bytes, const Message&, bool oracle, const Status& got) {
  EXPECT_EQ(oracle, got.code() != StatusCode::kInternal) << testing::PrintToString(bytes);
  return oracle && got.ok();
}

void FillRange(Rng& rng, etcdserverpb::RangeRequest& m) {
  if (rng.Chance(0.9)) m.set_key(RandomBytes(rng, 20));
  if (rng.Chance(0.5)) m.set_range_end(rng.Chance(0.3) ? std::string(1, '\0') : "z");
  if (rng.Chance(0.5)) m.set_limit(RandomNumber(rng));
  if (rng.Chance(0.5)) m.set_revision(RandomNumber(rng));
  if (rng.Chance(0.3)) {
    m.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(rng.Between(-1, 3)));
  }
  if (rng.Chance(0.3)) {
    m.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(rng.Between(-1, 5)));
  }
  m.set_serializable(rng.Chance(0.5));
  m.set_keys_only(rng.Chance(0.2));
  m.set_count_only(rng.Chance(0.2));
  if (rng.Chance(0.2)) m.set_min_mod_revision(RandomNumber(rng));
  if (rng.Chance(0.2)) m.set_max_mod_revision(RandomNumber(rng));
  if (rng.Chance(0.2)) m.set_min_create_revision(RandomNumber(rng));
  if (rng.Chance(0.2)) m.set_max_create_revision(RandomNumber(rng));
}

TEST(ParseFuzz, RangeAgreesWithProtobuf) {
  ForMany<etcdserverpb::RangeRequest>(1, FillRange, [](const std::string& bytes) {
    etcdserverpb::RangeRequest m;
    const bool oracle = m.ParseFromString(bytes);
    ParsedRange got;
    const Status status = ParseRange(bytes, got);
    RangeRouting routing;
    EXPECT_EQ(ScanRangeRouting(bytes, routing), oracle);
    if (oracle) {
      EXPECT_EQ(status, status.code() == StatusCode::kInternal
                            ? status
                            : CheckRange(m.key(), m.sort_order(), m.sort_target()));
      EXPECT_EQ(routing.serializable, m.serializable());
      EXPECT_EQ(routing.revision, std::max<Revision>(0, m.revision()));
    }
    if (!BothAccept(bytes, m, oracle, status)) return;
    EXPECT_EQ(got.op.range, mvcc::KeyRange::FromWire(m.key(), m.range_end()));
    EXPECT_EQ(got.op.limit, std::max<std::int64_t>(0, m.limit()));
    EXPECT_EQ(got.op.revision, std::max<Revision>(0, m.revision()));
    EXPECT_EQ(static_cast<int>(got.op.sort_order), m.sort_order());
    EXPECT_EQ(static_cast<int>(got.op.sort_target), m.sort_target());
    EXPECT_EQ(got.serializable, m.serializable());
    EXPECT_EQ(got.op.keys_only, m.keys_only());
    EXPECT_EQ(got.op.count_only, m.count_only());
    EXPECT_EQ(got.op.min_mod_revision, m.min_mod_revision());
    EXPECT_EQ(got.op.max_mod_revision, m.max_mod_revision());
    EXPECT_EQ(got.op.min_create_revision, m.min_create_revision());
    EXPECT_EQ(got.op.max_create_revision, m.max_create_revision());
  });
}

void FillPut(Rng& rng, etcdserverpb::PutRequest& m) {
  if (rng.Chance(0.9)) m.set_key(RandomBytes(rng, 20));
  if (rng.Chance(0.7)) m.set_value(RandomBytes(rng, 200));
  if (rng.Chance(0.3)) m.set_lease(RandomNumber(rng));
  m.set_prev_kv(rng.Chance(0.3));
  m.set_ignore_value(rng.Chance(0.2));
  m.set_ignore_lease(rng.Chance(0.2));
}

TEST(ParseFuzz, PutAgreesWithProtobuf) {
  ForMany<etcdserverpb::PutRequest>(2, FillPut, [](const std::string& bytes) {
    etcdserverpb::PutRequest m;
    const bool oracle = m.ParseFromString(bytes);
    mvcc::PutOp got;
    if (!BothAccept(bytes, m, oracle, ParsePut(bytes, got))) return;
    EXPECT_EQ(got.key, m.key());
    EXPECT_EQ(got.value, m.value());
    EXPECT_EQ(got.lease, m.lease());
    EXPECT_EQ(got.prev_kv, m.prev_kv());
    EXPECT_EQ(got.ignore_value, m.ignore_value());
    EXPECT_EQ(got.ignore_lease, m.ignore_lease());
  });
}

void FillDelete(Rng& rng, etcdserverpb::DeleteRangeRequest& m) {
  if (rng.Chance(0.9)) m.set_key(RandomBytes(rng, 200));
  if (rng.Chance(0.5)) m.set_range_end(RandomBytes(rng, 3));
  m.set_prev_kv(rng.Chance(0.3));
}

TEST(ParseFuzz, DeleteAgreesWithProtobuf) {
  ForMany<etcdserverpb::DeleteRangeRequest>(3, FillDelete, [](const std::string& bytes) {
    etcdserverpb::DeleteRangeRequest m;
    const bool oracle = m.ParseFromString(bytes);
    mvcc::DeleteOp got;
    if (!BothAccept(bytes, m, oracle, ParseDelete(bytes, got))) return;
    EXPECT_EQ(got.range, mvcc::KeyRange::FromWire(m.key(), m.range_end()));
    EXPECT_EQ(got.prev_kv, m.prev_kv());
  });
}

TEST(ParseFuzz, CompactAgreesWithProtobuf) {
  const auto fill = [](Rng& rng, etcdserverpb::CompactionRequest& m) {
    m.set_revision(RandomNumber(rng));
    m.set_physical(rng.Chance(0.5));
  };
  ForMany<etcdserverpb::CompactionRequest>(4, fill, [](const std::string& bytes) {
    etcdserverpb::CompactionRequest m;
    const bool oracle = m.ParseFromString(bytes);
    ParsedCompact got;
    if (!BothAccept(bytes, m, oracle, ParseCompact(bytes, got))) return;
    EXPECT_EQ(got.op.revision, m.revision());
    EXPECT_EQ(got.physical, m.physical());
  });
}

void FillTxn(Rng& rng, etcdserverpb::TxnRequest& m, int depth) {
  for (std::uint64_t n = rng.Below(3); n > 0; --n) {
    auto* compare = m.add_compare();
    compare->set_key("k");
    compare->set_target(static_cast<etcdserverpb::Compare::CompareTarget>(rng.Below(5)));
    compare->set_version(RandomNumber(rng));
  }
  for (std::uint64_t n = rng.Below(4); n > 0; --n) {
    auto* op = rng.Chance(0.5) ? m.add_success() : m.add_failure();
    if (depth < 3 && rng.Chance(0.3)) {
      FillTxn(rng, *op->mutable_request_txn(), depth + 1);
    } else if (rng.Chance(0.8)) {
      FillRange(rng, *op->mutable_request_range());
    } else if (rng.Chance(0.5)) {
      FillPut(rng, *op->mutable_request_put());
    } else {
      FillDelete(rng, *op->mutable_request_delete_range());
    }
  }
}

TEST(ParseFuzz, ATransactionThatWritesNeverLooksReadOnly) {
  const auto fill = [](Rng& rng, etcdserverpb::TxnRequest& m) { FillTxn(rng, m, 0); };
  ForMany<etcdserverpb::TxnRequest>(5, fill, [](const std::string& bytes) {
    mvcc::TxnOp op;
    const Status status = ParseTxn(bytes, {}, op);
    TxnRouting routing;
    const bool scanned = ScanTxnRouting(bytes, routing);
    if (!status.ok()) return;
    EXPECT_TRUE(scanned);
    if (routing.read_only) {
      EXPECT_TRUE(mvcc::ReadOnly(op));
    }
    if (routing.serializable) {
      EXPECT_TRUE(routing.read_only);
    }
  });
}

void FillWatch(Rng& rng, etcdserverpb::WatchRequest& m) {
  if (rng.Chance(0.2)) m.mutable_cancel_request()->set_watch_id(RandomNumber(rng));
  if (rng.Chance(0.1)) m.mutable_progress_request();
  if (rng.Chance(0.3)) return;
  auto& create = *m.mutable_create_request();
  if (rng.Chance(0.9)) create.set_key(RandomBytes(rng, 20));
  if (rng.Chance(0.5)) create.set_range_end(RandomBytes(rng, 3));
  if (rng.Chance(0.5)) create.set_start_revision(RandomNumber(rng));
  if (rng.Chance(0.3)) create.set_watch_id(RandomNumber(rng));
  for (std::uint64_t n = rng.Below(3); n > 0; --n) {
    create.add_filters(
        static_cast<etcdserverpb::WatchCreateRequest::FilterType>(rng.Between(-1, 2)));
  }
  create.set_prev_kv(rng.Chance(0.3));
  create.set_progress_notify(rng.Chance(0.3));
  create.set_fragment(rng.Chance(0.3));
}

void ExpectSame(const WatchCreate& got, const etcdserverpb::WatchCreateRequest& m) {
  const std::string key = m.key().empty() ? std::string(1, '\0') : m.key();
  EXPECT_EQ(got.range, mvcc::KeyRange::FromWire(key, m.range_end()));
  EXPECT_EQ(got.start, m.start_revision());
  EXPECT_EQ(got.watch_id, m.watch_id());
  EXPECT_EQ(got.prev_kv, m.prev_kv());
  EXPECT_EQ(got.fragment, m.fragment());
  EXPECT_EQ(got.progress_notify, m.progress_notify());
  const auto& filters = m.filters();
  EXPECT_EQ(got.filters.no_put, std::find(filters.begin(), filters.end(), 0) != filters.end());
  EXPECT_EQ(got.filters.no_delete, std::find(filters.begin(), filters.end(), 1) != filters.end());
}

TEST(ParseFuzz, WatchAgreesWithProtobuf) {
  ForMany<etcdserverpb::WatchRequest>(6, FillWatch, [](const std::string& bytes) {
    etcdserverpb::WatchRequest m;
    const bool oracle = m.ParseFromString(bytes);
    WatchRequest got;
    EXPECT_EQ(ParseWatchRequest(bytes, got), oracle) << testing::PrintToString(bytes);
    if (!oracle) return;
    EXPECT_EQ(static_cast<int>(got.kind), static_cast<int>(m.request_union_case()));
    EXPECT_EQ(got.cancel_id, m.cancel_request().watch_id());
    if (m.has_create_request()) ExpectSame(got.create, m.create_request());
  });
}

}  // namespace
}  // namespace coppice::api
