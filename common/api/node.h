#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/api/part_source.h"
#include "common/base/consistency.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace coppice::api {

// Every unary RPC of etcd's services and Coppice's own, numbered for the internal wire (frames'
// method field): numbers never change meaning. The path of each is in methods.h.
enum class Method : std::uint16_t {
  kUnknown = 0,
  kRange = 1,
  kPut = 2,
  kDeleteRange = 3,
  kTxn = 4,
  kCompact = 5,
  kMemberList = 16,
  kMemberAdd = 17,
  kMemberRemove = 18,
  kMemberUpdate = 19,
  kMemberPromote = 20,
  kAlarm = 32,
  kStatus = 33,
  kDefragment = 34,
  kHash = 35,
  kHashKv = 36,
  kMoveLeader = 37,
  kDowngrade = 38,
  kLeaseGrant = 48,
  kLeaseRevoke = 49,
  kLeaseTimeToLive = 50,
  kLeaseLeases = 51,
  kAuthFirst = 64,       // Auth's 17 in rpc.proto's order follow
  kClusterStatus = 128,  // coppice.Admin: all tiers at a glance
};

// A unary request, wherever it came in: gRPC edge or internal transport.
struct Request {
  Method method = Method::kUnknown;
  // The client's own protobuf. This and `token` are valid until the reply is given.
  std::string_view bytes;
  Consistency consistency;
  Time deadline = kNever;  // local clock
  std::string_view token;
  std::uint64_t attempt = 0;  // names this try of a mutation, for de-duplication; 0 = none
  std::uint8_t hops = 0;      // forwards so far; refused above 4
};

// Where the answer goes. Exactly one of Ok, Parts or Fail is called, once, on the request's loop.
// Holding one past the client's cancellation is harmless: the answer is dropped.
class Replier {
 public:
  virtual ~Replier() = default;
  // The response message is the concatenation of `pieces`.
  virtual void Ok(std::span<const std::string_view> pieces, const Served& served) = 0;
  virtual void Fail(const Status& status) = 0;
  // A response of `total` bytes, which the client's pace draws out of `source`.
  virtual void Parts(std::uint64_t total, std::unique_ptr<PartSource> source) = 0;
  // The mutation was certainly not proposed: it may be sent elsewhere. Otherwise as Fail.
  virtual void FailNotProposed(const Status& status) = 0;
};

// What a tier does with requests: voters and learners serve them from the store or forward them,
// proxies route them. One per io loop; all calls on that loop.
class Node {
 public:
  virtual ~Node() = default;
  virtual void Serve(const Request& request, std::unique_ptr<Replier> replier) = 0;
};

}  // namespace coppice::api
