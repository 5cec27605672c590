#include "loadgen/sim/clients/requests.h"

#include <fmt/format.h>

#include <algorithm>

#include "etcd/rpc.pb.h"
#include "loadgen/oracle.h"

namespace coppice::sim {
namespace {

constexpr int kKeys = 10;
constexpr char kPrefix = 'k';  // every key begins with it
constexpr Micros kStalenesses[] = {20 * kMillisecond,  100 * kMillisecond, 300 * kMillisecond,
                                   800 * kMillisecond, 2 * kSecond,        10 * kSecond};

template <typename Message>
Drawn Make(OpKind kind, const char* path, const Message& message) {
  Drawn drawn;
  drawn.options.path = path;
  drawn.record.kind = kind;
  message.SerializeToString(&drawn.record.request);
  return drawn;
}

}  // namespace

RequestDraw::RequestDraw(Rng rng, int client) : rng_(rng), client_(client) {}

std::string RequestDraw::Key() {
  // Half of all goes to two keys, so that reads and writes meet.
  const std::uint64_t key = rng_.Chance(0.5) ? rng_.Below(2) : rng_.Below(kKeys);
  return fmt::format("{}/{}", kPrefix, key);
}

std::string RequestDraw::NextTag() {
  values_ = 0;
  return fmt::format("{}.{}", client_, ++tags_);
}

std::string RequestDraw::Value(const std::string& tag) {
  std::string value = fmt::format("{0}{1}{0}{2}", loadgen::Oracle::kTagMark, tag, values_++);
  std::size_t size = rng_.Below(60);
  if (writes_much_ && rng_.Chance(0.5)) {
    size = 2000 + rng_.Below(6000);
  } else if (!writes_much_ && rng_.Chance(0.02)) {
    size = 2000 + rng_.Below(30000);  // several make a reply of many parts
  }
  value.append(size, '.');
  return value;
}

Revision RequestDraw::AnyRevision(const Known& known) {
  switch (rng_.Below(6)) {
    case 0:  // long past, perhaps compacted
      return 1 + static_cast<Revision>(rng_.Below(static_cast<std::uint64_t>(known.highest) + 1));
    case 1:  // the future, near or far
      return known.highest + 1 + static_cast<Revision>(rng_.Below(rng_.Chance(0.5) ? 3 : 1000));
    default:
      return std::max<Revision>(1, known.highest - static_cast<Revision>(rng_.Below(60)));
  }
}

template <typename Message>
void RequestDraw::FillRange(const Known& known, Message& range) {
  range.set_key(Key());
  switch (rng_.Below(10)) {
    case 0:
    case 1:
      range.set_key(std::string(1, kPrefix));
      range.set_range_end(std::string(1, kPrefix + 1));
      break;
    case 2:
      range.set_range_end(Key());  // often empty
      break;
    case 3:
      range.set_range_end(std::string(1, '\0'));
      break;
    case 4:
      range.set_key(std::string(1, '\0'));
      range.set_range_end(std::string(1, '\0'));
      break;
    default:
      break;
  }
  if (known.highest > 0 && rng_.Chance(0.15)) range.set_revision(AnyRevision(known));
  if (rng_.Chance(0.7)) return;
  if (rng_.Chance(0.4)) range.set_limit(1 + static_cast<std::int64_t>(rng_.Below(5)));
  if (rng_.Chance(0.4)) {
    range.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(rng_.Below(3)));
    range.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(rng_.Below(5)));
  }
  range.set_keys_only(rng_.Chance(0.2));
  range.set_count_only(rng_.Chance(0.2));
  if (rng_.Chance(0.2)) range.set_min_mod_revision(AnyRevision(known));
  if (rng_.Chance(0.2)) range.set_max_mod_revision(AnyRevision(known));
  if (rng_.Chance(0.1)) range.set_min_create_revision(AnyRevision(known));
  if (rng_.Chance(0.1)) range.set_max_create_revision(AnyRevision(known));
}

template <typename Message>
void RequestDraw::FillPut(Message& put, const std::string& value) {
  put.set_key(Key());
  put.set_value(value);
  put.set_prev_kv(rng_.Chance(0.3));
}

// The tag stands behind a byte that ends the range before any key that exists.
template <typename Message>
void RequestDraw::FillDelete(Message& erase, const std::string& tag) {
  const std::string mark = fmt::format("{0}{1}{0}", loadgen::Oracle::kTagMark, tag);
  erase.set_prev_kv(rng_.Chance(0.4));
  if (rng_.Chance(0.85)) {
    erase.set_key(Key());
    erase.set_range_end(erase.key() + std::string(1, '\0') + mark);
  } else if (rng_.Chance(0.5)) {
    erase.set_key(Key());
    erase.set_range_end(Key() + mark);  // and what lies between, if anything
  } else {
    erase.set_key(std::string(1, kPrefix));
    erase.set_range_end(std::string(1, kPrefix + 1) + mark);
  }
}

template <typename Message>
void RequestDraw::AddCompare(Message& txn, const Known& known) {
  auto& compare = *txn.add_compare();
  compare.set_key(Key());
  if (rng_.Chance(0.1)) compare.set_range_end(std::string(1, '\0'));
  compare.set_result(static_cast<etcdserverpb::Compare::CompareResult>(rng_.Below(4)));
  switch (rng_.Below(4)) {
    case 0:
      compare.set_target(etcdserverpb::Compare::VERSION);
      compare.set_version(static_cast<std::int64_t>(rng_.Below(3)));
      break;
    case 1:
      compare.set_target(etcdserverpb::Compare::CREATE);
      compare.set_create_revision(known.highest - static_cast<Revision>(rng_.Below(20)));
      break;
    case 2:
      compare.set_target(etcdserverpb::Compare::MOD);
      compare.set_mod_revision(known.highest - static_cast<Revision>(rng_.Below(20)));
      break;
    default:
      compare.set_target(etcdserverpb::Compare::VALUE);
      compare.set_value("9");
      break;
  }
}

// Puts and deletes in a branch never name the same key, which etcd refuses: keys go up.
template <typename Message>
void RequestDraw::FillTxn(const Known& known, Message& txn, const std::string& tag, int depth) {
  for (std::uint64_t n = rng_.Below(3); n > 0; --n) AddCompare(txn, known);
  for (auto* branch : {txn.mutable_success(), txn.mutable_failure()}) {
    std::uint64_t next_key = static_cast<std::uint64_t>(depth) * 4;
    for (std::uint64_t n = 1 + rng_.Below(3); n > 0; --n) {
      auto& op = *branch->Add();
      const std::string key = fmt::format("{}/{}", kPrefix, next_key);
      switch (rng_.Below(depth < 2 ? 6 : 5)) {
        case 0: {
          FillRange({}, *op.mutable_request_range());
          break;
        }
        case 1: {
          auto& erase = *op.mutable_request_delete_range();
          erase.set_key(key);
          erase.set_prev_kv(rng_.Chance(0.5));
          ++next_key;
          break;
        }
        case 5: {
          FillTxn(known, *op.mutable_request_txn(), tag, depth + 1);
          break;
        }
        default: {
          auto& put = *op.mutable_request_put();
          FillPut(put, Value(tag));
          put.set_key(key);
          if (rng_.Chance(0.05)) {  // refused if the key is not there
            put.clear_value();
            put.set_ignore_value(true);
          }
          ++next_key;
          break;
        }
      }
    }
  }
}

Drawn RequestDraw::Range(const Known& known) {
  etcdserverpb::RangeRequest request;
  FillRange(known, request);
  request.set_serializable(rng_.Chance(0.1));
  Drawn drawn = Make(OpKind::kRange, "/etcdserverpb.KV/Range", request);
  if (request.serializable()) drawn.record.consistency.mode = ReadMode::kSerializable;
  return drawn;
}

Drawn RequestDraw::Put() {
  const std::string tag = NextTag();
  etcdserverpb::PutRequest request;
  FillPut(request, Value(tag));
  Drawn drawn = Make(OpKind::kPut, "/etcdserverpb.KV/Put", request);
  drawn.record.mutation = true;
  drawn.record.tag = tag;
  return drawn;
}

Drawn RequestDraw::Delete() {
  const std::string tag = NextTag();
  etcdserverpb::DeleteRangeRequest request;
  FillDelete(request, tag);
  Drawn drawn = Make(OpKind::kDelete, "/etcdserverpb.KV/DeleteRange", request);
  drawn.record.mutation = true;
  drawn.record.tag = tag;
  return drawn;
}

Drawn RequestDraw::Txn(const Known& known) {
  const std::string tag = NextTag();
  etcdserverpb::TxnRequest request;
  // The first compare carries the tag; it always holds, as no such key is ever there.
  auto& mark = *request.add_compare();
  mark.set_key(fmt::format("{0}{1}{0}", loadgen::Oracle::kTagMark, tag));
  mark.set_target(etcdserverpb::Compare::VERSION);
  mark.set_result(etcdserverpb::Compare::EQUAL);
  mark.set_version(0);
  FillTxn(known, request, tag, 0);
  // Whatever was drawn, it can write.
  auto& put = *request.add_success()->mutable_request_put();
  put.set_key(fmt::format("{}/{}", kPrefix, kKeys + static_cast<int>(rng_.Below(2))));
  put.set_value(Value(tag));
  Drawn drawn = Make(OpKind::kTxn, "/etcdserverpb.KV/Txn", request);
  drawn.record.mutation = true;
  drawn.record.tag = tag;
  return drawn;
}

Drawn RequestDraw::ReadTxn(const Known& known) {
  etcdserverpb::TxnRequest request;
  for (std::uint64_t n = rng_.Below(3); n > 0; --n) AddCompare(request, known);
  for (std::uint64_t n = 1 + rng_.Below(3); n > 0; --n) {
    FillRange({}, *request.add_success()->mutable_request_range());
    FillRange({}, *request.add_failure()->mutable_request_range());
  }
  if (rng_.Chance(0.3)) {
    auto& nested = *request.add_success()->mutable_request_txn();
    AddCompare(nested, known);
    FillRange({}, *nested.add_success()->mutable_request_range());
    FillRange({}, *nested.add_failure()->mutable_request_range());
  }
  return Make(OpKind::kTxn, "/etcdserverpb.KV/Txn", request);
}

Drawn RequestDraw::Compact(const Known& known) {
  etcdserverpb::CompactionRequest request;
  const auto back = rng_.Below(rng_.Chance(0.5) ? 5 : 100);
  request.set_revision(std::max<Revision>(1, known.highest - static_cast<Revision>(back)));
  request.set_physical(rng_.Chance(0.3));
  Drawn drawn = Make(OpKind::kCompact, "/etcdserverpb.KV/Compact", request);
  drawn.record.mutation = true;
  return drawn;
}

Drawn RequestDraw::Admin(const Known& known) {
  switch (rng_.Below(4)) {
    case 0: {
      etcdserverpb::MemberListRequest request;
      request.set_linearizable(rng_.Chance(0.5));
      Drawn drawn = Make(OpKind::kMemberList, "/etcdserverpb.Cluster/MemberList", request);
      if (!request.linearizable()) drawn.record.consistency.mode = ReadMode::kSerializable;
      return drawn;
    }
    case 1:
      return Make(OpKind::kStatus, "/etcdserverpb.Maintenance/Status",
                  etcdserverpb::StatusRequest());
    case 2: {
      etcdserverpb::AlarmRequest request;
      request.set_action(etcdserverpb::AlarmRequest::GET);
      return Make(OpKind::kAlarm, "/etcdserverpb.Maintenance/Alarm", request);
    }
    default: {
      etcdserverpb::HashKVRequest request;
      if (rng_.Chance(0.7)) request.set_revision(AnyRevision(known));
      return Make(OpKind::kHashKv, "/etcdserverpb.Maintenance/HashKV", request);
    }
  }
}

void RequestDraw::Bounds(const Known& known, CallOptions& options, Consistency& consistency,
                         bool& session, bool& other_cluster) {
  const std::uint64_t choice = rng_.Below(10);
  if (choice < 3) {
    options.consistency = "linearizable";
    consistency.mode = ReadMode::kLinearizable;
  } else if (choice < 6) {
    options.consistency = "bounded";
    consistency.mode = ReadMode::kBounded;
    consistency.max_staleness = kStalenesses[rng_.Below(std::size(kStalenesses))];
    options.max_staleness = fmt::format("{}us", *consistency.max_staleness);
  } else if (choice < 8) {
    options.consistency = "serializable";
    consistency.mode = ReadMode::kSerializable;
  }
  session = known.in_session && known.highest > 0;
  if (session) {
    consistency.min_revision = known.highest;
  } else if (known.highest > 0 && rng_.Chance(0.1)) {
    consistency.min_revision = AnyRevision(known);
  }
  if (consistency.min_revision == 0) return;
  options.min_revision = std::to_string(consistency.min_revision);
  if (known.cluster_id == 0 || rng_.Chance(0.5)) return;
  other_cluster = rng_.Chance(0.01);
  consistency.session_cluster = known.cluster_id + (other_cluster ? 1 : 0);
  options.min_revision =
      fmt::format("{:x}/{}", consistency.session_cluster, consistency.min_revision);
}

void RequestDraw::Metadata(const Known& known, Drawn& drawn) {
  OpRecord& record = drawn.record;
  const bool reads =
      !record.mutation && (record.kind == OpKind::kRange || record.kind == OpKind::kTxn);
  drawn.options.has_leader = rng_.Chance(0.1);
  if (rng_.Chance(0.5)) {
    drawn.options.timeout = 300 * kMillisecond + static_cast<Micros>(rng_.Below(6 * kSecond));
  }
  if (reads) {
    Bounds(known, drawn.options, record.consistency, record.in_session, record.other_cluster);
  } else if (record.mutation && known.in_session && known.highest > 0) {
    record.in_session = true;
    record.consistency.min_revision = known.highest;
    drawn.options.min_revision = std::to_string(known.highest);
  }
  record.own_write = record.in_session && known.own_write;
}

Drawn RequestDraw::DrawRead(const Known& known) {
  Drawn drawn = rng_.Chance(0.85) ? Range(known) : ReadTxn(known);
  Metadata(known, drawn);
  return drawn;
}

Drawn RequestDraw::Draw(const Known& known) {
  const std::uint64_t choice = rng_.Below(100);
  if (choice < 45) return DrawRead(known);
  Drawn drawn;
  if (choice < 73) {
    drawn = Put();
  } else if (choice < 82) {
    drawn = Delete();
  } else if (choice < 94) {
    drawn = Txn(known);
  } else if (choice < 96 && known.highest > 0) {
    drawn = Compact(known);
  } else {
    drawn = Admin(known);
  }
  Metadata(known, drawn);
  return drawn;
}

WatchCreated RequestDraw::DrawWatch(const Known& known) {
  WatchCreated watch;
  std::string key = Key();
  std::string end;
  switch (rng_.Below(4)) {
    case 0:
      break;
    case 1:
      end = std::string(1, '\0');
      break;
    default:
      key = std::string(1, kPrefix);
      end = std::string(1, kPrefix + 1);
      break;
  }
  watch.range = mvcc::KeyRange::FromWire(key, end);
  if (known.highest > 0 && rng_.Chance(0.6)) watch.start = AnyRevision(known);
  watch.prev_kv = rng_.Chance(0.4);
  watch.no_put = rng_.Chance(0.1);
  watch.no_delete = rng_.Chance(0.15);
  watch.progress_notify = rng_.Chance(0.4);
  watch.fragment = rng_.Chance(0.3);
  if (rng_.Chance(0.2)) watch.watch_id = 1000 + static_cast<std::int64_t>(rng_.Below(5));
  return watch;
}

WatchCreated RequestDraw::WatchOfAll(bool prev_kv) {
  WatchCreated watch;
  watch.range = mvcc::KeyRange::FromWire(std::string(1, kPrefix), std::string(1, kPrefix + 1));
  watch.prev_kv = prev_kv;
  return watch;
}

void RequestDraw::DrawStream(const Known& known, CallOptions& options, StreamRecord& record) {
  options = {};
  options.path = "/etcdserverpb.Watch/Watch";
  options.has_leader = rng_.Chance(0.2);
  bool other_cluster = false;
  record.consistency = {};
  Bounds(known, options, record.consistency, record.in_session, other_cluster);
  if (other_cluster) {
    options.min_revision = std::to_string(record.consistency.min_revision);
    record.consistency.session_cluster = 0;
  }
  if (record.in_session) return;
  // A stream waits for its minimum: one from the future would wait for ever.
  options.min_revision.clear();
  record.consistency.min_revision = 0;
}

}  // namespace coppice::sim
