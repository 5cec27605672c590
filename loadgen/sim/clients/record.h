#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/mvcc/key_range.h"
#include "common/mvcc/testing/kv.h"
#include "loadgen/sim/ports.h"

// What simulated clients did and saw, for the checkers. All times are true time.
namespace coppice::sim {

using mvcc::testing::Kv;

enum class OpKind : std::uint8_t {
  kRange,
  kPut,
  kDelete,
  kTxn,
  kCompact,
  kMemberList,
  kStatus,
  kHashKv,
  kAlarm,  // GET
};

enum class Outcome : std::uint8_t {
  kPending,
  kOk,
  kRefused,  // answered with an error that says that nothing was done
  kUnknown,  // of a mutation: it may have been done; of a read: not answered
};

// A unary operation. A read that was repeated is recorded as its last attempt alone, which is the
// one that was answered.
struct OpRecord {
  std::uint64_t number = 0;
  OpKind kind = OpKind::kRange;
  bool mutation = false;
  std::string tag;  // of a mutation (loadgen/oracle.h); empty: a compaction
  int client = 0;
  std::string endpoint;
  Tier tier = Tier::kVoter;
  Consistency consistency;
  bool in_session = false;     // min_revision is the highest revision that this client had seen...
  bool own_write = false;      // ...which was that of its own mutation
  bool other_cluster = false;  // the session revision names another cluster's id on purpose
  std::string request;
  std::string response;
  Time invoke = 0;
  Time end = 0;
  Micros timeout = 0;  // as the client set it; 0: the server's
  int attempts = 0;
  Outcome outcome = Outcome::kPending;
  Status status;
  Time heard_at = 0;      // as in CallEnd
  bool given_up = false;  // it was to be repeated, and the run ended
  Revision revision = 0;  // header.revision
  std::uint64_t member = 0;
  std::string served_by;  // trailers; empty: none came
  Micros staleness = -1;  // -1: not told
};

struct WatchEvent {
  bool is_delete = false;
  Kv kv;
  std::optional<Kv> prev;
};

struct WatchReply {
  Time at = 0;
  std::int64_t watch_id = 0;
  Revision header = 0;
  bool created = false;
  bool canceled = false;
  Revision compact_revision = 0;
  std::string reason;
  bool fragment = false;
  std::vector<WatchEvent> events;
};

struct WatchCreated {  // a create request, in the order they were sent
  Time sent = 0;
  mvcc::KeyRange range;
  Revision start = 0;
  bool prev_kv = false;
  bool no_put = false;
  bool no_delete = false;
  bool progress_notify = false;
  bool fragment = false;
  std::int64_t watch_id = 0;  // asked for; 0: the server's choice
  bool resumed = false;       // goes on where a lost stream stopped
};

struct WatchCanceled {  // a cancel request
  Time sent = 0;
  std::int64_t watch_id = 0;
};

struct Unread {  // the client read nothing of a stream in [from, to)
  Time from = 0;
  Time to = kNever;
};

// One Watch call.
struct StreamRecord {
  std::uint64_t number = 0;
  int client = 0;
  std::string endpoint;
  Tier tier = Tier::kVoter;
  Consistency consistency;
  bool in_session = false;
  Time opened = 0;
  Time ended = 0;  // 0: it was open when the run ended
  std::vector<WatchCreated> creates;
  std::vector<WatchCanceled> cancels;
  std::vector<WatchReply> replies;
  std::vector<Unread> unread;  // one after the other
};

struct RunHistory {
  std::vector<std::unique_ptr<OpRecord>> ops;
  std::vector<std::unique_ptr<StreamRecord>> streams;
  Time healed_at = 0;    // 0: never
  Time settling_at = 0;  // clients began nothing from here on; 0: never
};

// A line for reports.
std::string Describe(const OpRecord& op);
std::string Describe(const StreamRecord& stream);
std::string Describe(const WatchReply& reply);
std::string Describe(const WatchEvent& event);
std::string Describe(const Kv& kv);

}  // namespace coppice::sim
