// Clients' requests, by method: what is read by hand is what libprotobuf reads; what is accepted
// keeps etcd's limits, survives the log's encoding, and applies to two stores alike; and the
// response is the bytes that libprotobuf would write.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/api/encode.h"
#include "common/api/limits.h"
#include "common/api/parse.h"
#include "common/api/validate.h"
#include "common/api/watch_request.h"
#include "common/base/check.h"
#include "common/mvcc/memory_backend.h"
#include "common/mvcc/store.h"
#include "etcd/rpc.pb.h"
#include "fuzz/input.h"
#include "fuzz/target.h"

namespace coppice::fuzz {
namespace {

constexpr int kRequestsMax = 30;

enum class Kind : std::uint8_t { kRange, kPut, kDelete, kTxn, kCompact, kWatch, kCommand, kCount };

template <typename Message>
std::optional<Message> Oracle(std::string_view bytes, const Status& got) {
  Message message;
  const bool well_formed = message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  COPPICE_CHECK(well_formed == (got.code() != StatusCode::kInternal),
                "both tell malformed bytes alike");
  if (!well_formed || !got.ok()) return std::nullopt;
  return message;
}

template <typename Message>
void CheckEncoding(std::string_view response) {
  Message message;
  COPPICE_CHECK(message.ParseFromArray(response.data(), static_cast<int>(response.size())));
  COPPICE_CHECK(message.SerializeAsString() == response);
}

// Operations that may run together and count against the limit (etcd's checkTxnRequest).
void CheckAccepted(const mvcc::TxnOp& txn, int ops_left) {
  const auto ops =
      static_cast<int>(std::max({txn.compares.size(), txn.success.size(), txn.failure.size()}));
  COPPICE_CHECK(ops <= ops_left);
  for (const mvcc::Compare& compare : txn.compares) COPPICE_CHECK(!compare.range.begin.empty());
  for (const auto* branch : {&txn.success, &txn.failure}) {
    std::vector<std::string> puts;
    for (const mvcc::Op& op : *branch) {
      if (const auto* put = std::get_if<mvcc::PutOp>(&op)) {
        COPPICE_CHECK(!put->key.empty());
        puts.push_back(put->key);
      } else if (const auto* range = std::get_if<mvcc::RangeOp>(&op)) {
        COPPICE_CHECK(!range->range.begin.empty() && range->limit >= 0 && range->revision >= 0);
      } else if (const auto* nested = std::get_if<std::unique_ptr<mvcc::TxnOp>>(&op)) {
        CheckAccepted(**nested, ops_left - ops);
      }
    }
    std::sort(puts.begin(), puts.end());
    COPPICE_CHECK(std::adjacent_find(puts.begin(), puts.end()) == puts.end(), "no key twice");
    for (const mvcc::Op& op : *branch) {
      const auto* erase = std::get_if<mvcc::DeleteOp>(&op);
      if (erase == nullptr || erase->range.unbounded) continue;  // as etcd overlooks
      for (const std::string& key : puts) COPPICE_CHECK(!erase->range.Contains(key));
    }
  }
}

// One store, to which commands come as entries.
class Replica {
 public:
  Replica() {
    mvcc::StoreOptions options;
    options.ring_bytes = 1U << 20;
    store_ = mvcc::Store::Open(std::make_unique<mvcc::MemoryBackend>(), options).value();
  }

  mvcc::CommandResult Apply(std::string_view command) {
    const EntryPtr entry = Entry::Make(Term(1), ++index_, RecordKind::kCommand, command);
    mvcc::ApplyOutput out;
    COPPICE_CHECK(store_->Apply({&entry, 1}, {}, out).ok(), "an accepted command applies");
    COPPICE_CHECK(out.results.size() == 1);
    while (store_->CollectGarbage()) {
    }
    return std::move(out.results.front().second);
  }
  std::uint32_t Hash() {
    std::uint32_t hash = 0;
    Revision compacted = 0;
    COPPICE_CHECK(store_->HashKv(0, hash, compacted) == mvcc::Error::kNone);
    return hash;
  }
  mvcc::Store& store() { return *store_; }

 private:
  Index index_;
  std::unique_ptr<mvcc::Store> store_;
};

class World {
 public:
  void Serve(Kind kind, std::string_view bytes) {
    switch (kind) {
      case Kind::kRange:
        return Range(bytes);
      case Kind::kPut:
        return Put(bytes);
      case Kind::kDelete:
        return Delete(bytes);
      case Kind::kTxn:
        return Txn(bytes);
      case Kind::kCompact:
        return Compact(bytes);
      case Kind::kWatch:
        return Watch(bytes);
      default:
        return ApplyRaw(bytes);
    }
  }
  void End() { COPPICE_CHECK(first_.Hash() == second_.Hash()); }

 private:
  void Range(std::string_view bytes);
  void Put(std::string_view bytes);
  void Delete(std::string_view bytes);
  void Txn(std::string_view bytes);
  void Compact(std::string_view bytes);
  static void Watch(std::string_view bytes);
  void Read(const mvcc::RangeOp& op);

  // Through the log's encoding to both stores; the second gets what was decoded and encoded again.
  mvcc::CommandResult Propose(const mvcc::Command& command) {
    const std::string encoded = mvcc::EncodeCommand(command);
    mvcc::Command decoded;
    COPPICE_CHECK(mvcc::DecodeCommand(encoded, decoded));
    COPPICE_CHECK(mvcc::EncodeCommand(decoded) == encoded);
    mvcc::CommandResult result = first_.Apply(encoded);
    COPPICE_CHECK(second_.Apply(encoded).revision == result.revision);
    return result;
  }
  // Bytes that no proposer made: every replica refuses or applies them alike.
  void ApplyRaw(std::string_view bytes) {
    mvcc::Command decoded;
    if (!mvcc::DecodeCommand(bytes, decoded)) return;
    const std::string once = mvcc::EncodeCommand(decoded);
    mvcc::Command again;
    COPPICE_CHECK(mvcc::DecodeCommand(once, again) && mvcc::EncodeCommand(again) == once);
    COPPICE_CHECK(first_.Apply(bytes).revision == second_.Apply(once).revision);
  }
  api::ResponseHeader Header(Revision revision) const {
    return {.cluster_id = 7, .member_id = NodeId(9), .revision = revision, .raft_term = Term(1)};
  }

  Replica first_, second_;
};

void World::Range(std::string_view bytes) {
  api::ParsedRange parsed;
  const Status status = api::ParseRange(bytes, parsed);
  const auto want = Oracle<etcdserverpb::RangeRequest>(bytes, status);
  api::RangeRouting routing;
  COPPICE_CHECK(api::ScanRangeRouting(bytes, routing) == (status.code() != StatusCode::kInternal));
  if (!want) return;
  const mvcc::RangeOp& op = parsed.op;
  COPPICE_CHECK(op.range == mvcc::KeyRange::FromWire(want->key(), want->range_end()));
  COPPICE_CHECK(op.limit == std::max<std::int64_t>(0, want->limit()));
  COPPICE_CHECK(op.revision == std::max<Revision>(0, want->revision()));
  COPPICE_CHECK(static_cast<int>(op.sort_order) == want->sort_order());
  COPPICE_CHECK(static_cast<int>(op.sort_target) == want->sort_target());
  COPPICE_CHECK(op.keys_only == want->keys_only() && op.count_only == want->count_only());
  COPPICE_CHECK(op.min_mod_revision == want->min_mod_revision());
  COPPICE_CHECK(op.max_mod_revision == want->max_mod_revision());
  COPPICE_CHECK(op.min_create_revision == want->min_create_revision());
  COPPICE_CHECK(op.max_create_revision == want->max_create_revision());
  COPPICE_CHECK(parsed.serializable == want->serializable());
  COPPICE_CHECK(routing.serializable == want->serializable() && routing.revision == op.revision);
  Read(op);
}

void World::Read(const mvcc::RangeOp& op) {
  mvcc::Store& store = first_.store();
  const mvcc::ReadView& view = store.View(0);
  mvcc::RangeResult result;
  if (store.Range(0, view, op, result) == mvcc::Error::kNone) {
    COPPICE_CHECK(op.limit == 0 || op.count_only || result.count >= 0);
    const api::RangeResponse response(Header(view.revision), result.kvs, result.more, result.count);
    std::string joined;
    for (const std::string_view piece : response.pieces()) joined.append(piece);
    CheckEncoding<etcdserverpb::RangeResponse>(joined);
    etcdserverpb::RangeResponse message;
    message.ParseFromString(joined);
    COPPICE_CHECK(op.limit == 0 || message.kvs_size() <= op.limit);
    COPPICE_CHECK(message.kvs_size() <= message.count());
    for (const auto& kv : message.kvs()) COPPICE_CHECK(op.range.Contains(kv.key()));
  }
  store.Quiesce(0, false);
}

void World::Put(std::string_view bytes) {
  mvcc::PutOp op;
  const auto want = Oracle<etcdserverpb::PutRequest>(bytes, api::ParsePut(bytes, op));
  if (!want) return;
  COPPICE_CHECK(op.key == want->key() && op.value == want->value() && !op.key.empty());
  COPPICE_CHECK(op.lease == want->lease() && op.prev_kv == want->prev_kv());
  COPPICE_CHECK(op.ignore_value == want->ignore_value());
  COPPICE_CHECK(op.ignore_lease == want->ignore_lease());
  const mvcc::CommandResult result = Propose(std::move(op));
  if (result.error != mvcc::Error::kNone) return;
  std::string response;
  api::EncodePut(Header(result.revision), std::get<mvcc::PutResult>(result.value), response);
  CheckEncoding<etcdserverpb::PutResponse>(response);
}

void World::Delete(std::string_view bytes) {
  mvcc::DeleteOp op;
  const auto want = Oracle<etcdserverpb::DeleteRangeRequest>(bytes, api::ParseDelete(bytes, op));
  if (!want) return;
  COPPICE_CHECK(op.range == mvcc::KeyRange::FromWire(want->key(), want->range_end()));
  COPPICE_CHECK(op.prev_kv == want->prev_kv());
  const mvcc::CommandResult result = Propose(std::move(op));
  if (result.error != mvcc::Error::kNone) return;
  std::string response;
  api::EncodeDelete(Header(result.revision), std::get<mvcc::DeleteResult>(result.value), response);
  CheckEncoding<etcdserverpb::DeleteRangeResponse>(response);
}

void World::Txn(std::string_view bytes) {
  constexpr int kOpsMax = 16;
  mvcc::TxnOp op;
  const Status status = api::ParseTxn(bytes, {.txn_ops_max = kOpsMax}, op);
  if (!Oracle<etcdserverpb::TxnRequest>(bytes, status)) return;
  CheckAccepted(op, kOpsMax);
  api::TxnRouting routing;
  COPPICE_CHECK(api::ScanTxnRouting(bytes, routing), "what is accepted can be routed");
  const bool read_only = mvcc::ReadOnly(op);
  COPPICE_CHECK(!routing.read_only || read_only, "a write never takes the read path");
  COPPICE_CHECK(!routing.serializable || routing.read_only);
  mvcc::TxnResult seen;
  mvcc::Error error = mvcc::Error::kNone;
  if (read_only) {
    error = first_.store().ReadTxn(0, first_.store().View(0), op, seen);
    first_.store().Quiesce(0, false);
  }
  const mvcc::CommandResult result = Propose(std::move(op));
  if (result.error == mvcc::Error::kCorrupt) return;  // refuses entries, not reads
  COPPICE_CHECK(!read_only || error == result.error, "read or applied, it is the same");
  if (result.error != mvcc::Error::kNone) return;
  std::string response;
  const auto& applied = std::get<mvcc::TxnResult>(result.value);
  api::EncodeTxn(Header(result.revision), applied, response);
  CheckEncoding<etcdserverpb::TxnResponse>(response);
  if (!read_only) return;
  std::string read;
  api::EncodeTxn(Header(result.revision), seen, read);
  COPPICE_CHECK(read == response);
}

void World::Compact(std::string_view bytes) {
  api::ParsedCompact parsed;
  const auto want =
      Oracle<etcdserverpb::CompactionRequest>(bytes, api::ParseCompact(bytes, parsed));
  if (!want) return;
  COPPICE_CHECK(parsed.op.revision == want->revision() && parsed.physical == want->physical());
  Propose(parsed.op);
}

void World::Watch(std::string_view bytes) {
  api::WatchRequest got;
  const bool accepted = api::ParseWatchRequest(bytes, got);
  etcdserverpb::WatchRequest want;
  COPPICE_CHECK(accepted == want.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  if (!accepted) return;
  COPPICE_CHECK(static_cast<int>(got.kind) == static_cast<int>(want.request_union_case()));
  COPPICE_CHECK(got.cancel_id == want.cancel_request().watch_id());
  if (!want.has_create_request()) return;
  const auto& create = want.create_request();
  const std::string key = create.key().empty() ? std::string(1, '\0') : create.key();
  COPPICE_CHECK(got.create.range == mvcc::KeyRange::FromWire(key, create.range_end()));
  COPPICE_CHECK(got.create.start == create.start_revision());
  COPPICE_CHECK(got.create.watch_id == create.watch_id());
  COPPICE_CHECK(got.create.prev_kv == create.prev_kv());
  COPPICE_CHECK(got.create.fragment == create.fragment());
  COPPICE_CHECK(got.create.progress_notify == create.progress_notify());
  const auto has = [&](int filter) {
    return std::find(create.filters().begin(), create.filters().end(), filter) !=
           create.filters().end();
  };
  COPPICE_CHECK(got.create.filters.no_put == has(0) && got.create.filters.no_delete == has(1));
}

// A list of requests: kind, then a chunk.
void Run(std::string_view bytes) {
  Input input(bytes);
  World world;
  for (int i = 0; i < kRequestsMax && !input.done(); ++i) {
    const auto kind = static_cast<Kind>(input.Byte() % static_cast<int>(Kind::kCount));
    world.Serve(kind, input.Chunk());
  }
  world.End();
}

std::string One(Kind kind, std::string_view bytes) {
  std::string out(1, static_cast<char>(kind));
  PutChunk(out, bytes);
  return out;
}

std::string PutSeed(std::string_view key, std::string_view value) {
  etcdserverpb::PutRequest put;
  put.set_key(std::string(key));
  put.set_value(std::string(value));
  put.set_prev_kv(true);
  return One(Kind::kPut, put.SerializeAsString());
}

std::string TxnSeed(int depth) {
  etcdserverpb::TxnRequest txn;
  etcdserverpb::TxnRequest* level = &txn;
  for (int i = 0; i < depth; ++i) {
    auto* compare = level->add_compare();
    compare->set_key("a");
    compare->set_range_end("c");
    compare->set_target(etcdserverpb::Compare::VALUE);
    compare->set_value("1");
    level->add_success()->mutable_request_put()->set_key("k" + std::to_string(i));
    auto* erase = level->add_failure()->mutable_request_delete_range();
    erase->set_key("a");
    erase->set_range_end("c");
    level->add_failure()->mutable_request_range()->set_key("a");
    level = level->add_success()->mutable_request_txn();
  }
  level->add_success()->mutable_request_range()->set_key("a");
  return One(Kind::kTxn, txn.SerializeAsString());
}

std::string RangeSeed() {
  etcdserverpb::RangeRequest range;
  range.set_key("a");
  range.set_range_end("z");
  range.set_limit(3);
  range.set_revision(2);
  range.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  range.set_sort_target(etcdserverpb::RangeRequest::VALUE);
  range.set_min_mod_revision(1);
  range.set_max_create_revision(9);
  return One(Kind::kRange, range.SerializeAsString());
}

std::string WatchSeed() {
  etcdserverpb::WatchRequest request;
  auto* create = request.mutable_create_request();
  create->set_key("a");
  create->set_range_end(std::string(1, '\0'));
  create->set_start_revision(5);
  create->set_watch_id(3);
  create->add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  create->set_prev_kv(true);
  create->set_fragment(true);
  return One(Kind::kWatch, request.SerializeAsString());
}

std::vector<std::string> Seeds() {
  etcdserverpb::DeleteRangeRequest erase;
  erase.set_key("a");
  erase.set_range_end("b");
  erase.set_prev_kv(true);
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(3);
  etcdserverpb::WatchRequest cancel;
  cancel.mutable_cancel_request()->set_watch_id(3);
  const std::string puts = PutSeed("a", "1") + PutSeed("b", "2") + PutSeed("a", "3");
  const std::string group("\xa3\x01\x08\x07\xa4\x01", 6);  // of field 20
  return {
      puts + RangeSeed(),
      puts + One(Kind::kDelete, erase.SerializeAsString()) + RangeSeed(),
      puts + One(Kind::kCompact, compact.SerializeAsString()) + RangeSeed(),
      puts + TxnSeed(1) + TxnSeed(3),
      TxnSeed(0),
      WatchSeed() + One(Kind::kWatch, cancel.SerializeAsString()),
      One(Kind::kWatch, group + std::string("\x0a\x07\x2a\x02\x01\x00\x0a\x01\x61", 9) +
                            cancel.SerializeAsString()),
      One(Kind::kRange,
          group + std::string("\x0a\x01\x61\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14)),
      One(Kind::kCommand, mvcc::EncodeCommand(mvcc::PutOp{.key = "c", .value = "v"})) +
          One(Kind::kCommand,
              mvcc::EncodeCommand(mvcc::AlarmOp{
                  .activate = true, .member = NodeId(3), .type = mvcc::AlarmType::kNoSpace})),
  };
}

}  // namespace

Target RequestsTarget() {
  return {"requests", Run, Seeds};
}

}  // namespace coppice::fuzz
