#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"

// What goes into the client's core and what comes out of it. Plain data: no protobuf, no gRPC.

namespace coppice::client {

using RequestId = std::uint64_t;
using Metadata = std::vector<std::pair<std::string, std::string>>;

enum class Kind : std::uint8_t {
  kRead,      // may be sent as often as needed
  kMutation,  // is sent again only when it was certainly not done
  kWatch,     // a stream that is resumed where it stopped
};

// What became of a request.
enum class Outcome : std::uint8_t {
  kOk,       // answered
  kNotDone,  // failed, and changed nothing
  kUnknown,  // a mutation that was sent and not answered: it may be done, now or later
};

// How one request wants to be served (docs/consistency.md). The values are checked by the server.
struct CallOptions {
  std::optional<ReadMode> mode{};         // coppice-consistency
  std::optional<Micros> max_staleness{};  // coppice-max-staleness
  bool in_session = true;  // send the session's revision as coppice-min-revision; learn the reply's
  std::optional<std::size_t> endpoint{};  // this one alone
  std::optional<Micros> timeout{};        // of a blocking call, instead of ClientOptions::timeout
  Metadata metadata{};  // sent as it is; wins over what the above would send by the same name
};

// Of a reply's ResponseHeader. A revision of 0 (that of a member list) says nothing.
struct ReplyHeader {
  std::uint64_t cluster_id = 0;
  Revision revision = 0;
};

// A WatchResponse without its events.
struct WatchReply {
  ReplyHeader header{};
  bool created = false;
  bool canceled = false;
  bool fragment = false;  // more of this response follows
  Revision compact_revision = 0;
  Revision last_event = 0;  // the mod revision of its last event; 0: it has none
  std::string cancel_reason{};
};

// --- Inputs.

struct Begin {
  RequestId id = 0;  // never used before
  Kind kind = Kind::kRead;
  Time deadline = kNever;
  CallOptions options{};
  Revision watch_start = 0;  // of a kWatch: its start_revision; 0: from now on
};
// The reply to attempt `attempt`. Answers to earlier attempts are ignored.
struct Answered {
  RequestId id = 0;
  std::uint32_t attempt = 0;
  ReplyHeader header{};
};
// The attempt ended without a reply, or the watch's stream ended (then `status` may be OK).
struct Failed {
  RequestId id = 0;
  std::uint32_t attempt = 0;
  Status status;
  bool not_sent = false;   // certainly not done: no byte of it left, or the server said NotProposed
  bool unreached = false;  // there is no connection to the endpoint, or it broke
};
struct WatchReceived {
  RequestId id = 0;
  std::uint32_t attempt = 0;
  WatchReply reply{};
};
// What the driver knows of an endpoint's connection by itself.
struct EndpointUp {
  std::size_t endpoint = 0;
};
struct EndpointDown {
  std::size_t endpoint = 0;
};
struct CancelRequest {
  RequestId id = 0;
};
struct Timer {};  // NextDeadline has come

using Input = std::variant<Begin, Answered, Failed, WatchReceived, EndpointUp, EndpointDown,
                           CancelRequest, Timer>;

// --- Effects, in the order in which they are to be done.

struct Send {
  RequestId id = 0;
  std::uint32_t attempt = 0;
  std::size_t endpoint = 0;
  Time deadline = kNever;  // of the attempt
  Metadata metadata{};
  Revision watch_start = 0;
};
// Nobody waits for that attempt any more: cancel the call.
struct Abandon {
  RequestId id = 0;
  std::uint32_t attempt = 0;
};
// Once in a watch's life: every event after `revision` will be delivered.
struct WatchOpened {
  RequestId id = 0;
  Revision revision = 0;
};
// Of the last reply and the fragments held before it: the events with a mod revision of `from` or
// more are to be delivered. All events up to `through` are delivered then. Without events:
// progress.
struct WatchDeliver {
  RequestId id = 0;
  Revision from = 0;
  Revision through = 0;
};
// The last that is heard of a request.
struct Finish {
  RequestId id = 0;
  Outcome outcome = Outcome::kOk;
  Status status;                  // not OK unless `outcome` is kOk
  Revision compact_revision = 0;  // of a watch whose next event is compacted away
};

using Effect = std::variant<Send, Abandon, WatchOpened, WatchDeliver, Finish>;
using Effects = std::vector<Effect>;

}  // namespace coppice::client
