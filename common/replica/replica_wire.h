#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/replica/registration.h"

// Payloads of the frames of class kTail and of the registry's and states' frames
// (common/io/frame.h, docs/formats.md). All but the entries are protobuf-encoded by hand: unknown
// fields are skipped, so that neighbouring releases understand each other. Decode functions return
// false at malformed bytes and never crash on any.
namespace coppice::replica {

// An upstream chain is at most this long: a learner below eight others is refused.
constexpr std::size_t kRelayDepthMax = 8;

struct TailSubscribe {  // kTailSubscribe: subscriber -> upstream
  std::uint64_t cluster_id = 0;
  NodeId node;
  Index index;               // the newest entry it has; 0 = none
  Term term;                 // of that entry
  std::uint64_t credit = 0;  // bytes of entries it takes now; kCredit grants more
  bool insist = false;       // to a leader: no follower could be reached
};

struct TailEntries {  // kTailEntries: contiguous committed entries, whole records
  Index commit;       // the newest committed entry that the upstream knows
  std::vector<EntryPtr> entries;
};

struct TailBehind {                   // kTailBehind: the gap is to be had from a voter
  Index first_index;                  // the oldest entry the upstream still has
  std::vector<std::string> voters{};  // addresses, as far as it knows them
};

enum class TailRefusal : std::uint8_t {
  kMismatch = 1,      // another history: discard the state, take a snapshot
  kOtherCluster = 2,  // a mistake in configuration, or a restore
  kLoop = 3,          // the subscriber is on the upstream's own path
  kTooDeep = 4,
  kUseFollower = 5,  // from a leader: followers are alive
};
struct TailRefused {  // kTailRefused
  TailRefusal reason = TailRefusal::kMismatch;
  std::vector<std::string> instead;  // kUseFollower: the followers' peer addresses
};

struct TailState {  // kTailState: on connecting, when it changes, and at each heartbeat
  std::uint64_t cluster_id = 0;
  std::vector<NodeId> path;  // the upstream first, its root last
  bool rooted = false;       // the path's last is a voter: the chain is whole
  bool leader = false;
  Index commit;
  Micros round_age = -1;  // since its newest completed ReadIndex round; -1 = none yet
  NodeId leader_id{};     // who leads, as far as the chain knows; 0 = unknown
  Term term{};            // and since which term
};

struct ReadIndex {  // kReadIndex
  std::uint64_t id = 0;
  bool relaxed = false;  // an idle refresh
};
struct ReadIndexReply {  // kReadIndexReply
  std::uint64_t id = 0;
  bool ok = false;
  Index index;
};

struct NodeState {  // kNodeState: learner or voter -> proxy
  NodeId id;
  NodeRole role = NodeRole::kLearner;
  bool ready = false;
  bool draining = false;
  NodeId leader;  // 0 = unknown
  Term term;
  Index applied;
  Revision revision = 0;
  Micros staleness = -1;  // -1 = never confirmed
  std::uint32_t outstanding = 0;
  std::uint32_t cpu_permille = 0;
  std::uint64_t registry_version = 0;
};

std::string EncodeTailSubscribe(const TailSubscribe& message);
bool DecodeTailSubscribe(std::string_view bytes, TailSubscribe& out);
// Entries keep their bytes: the payload is the commit index (u64) and the records.
std::string EncodeTailEntries(const TailEntries& message);
// Verifies each record's checksums and that the entries are contiguous.
bool DecodeTailEntries(std::string_view bytes, TailEntries& out);
std::string EncodeTailBehind(const TailBehind& message);
bool DecodeTailBehind(std::string_view bytes, TailBehind& out);
std::string EncodeTailRefused(const TailRefused& message);
bool DecodeTailRefused(std::string_view bytes, TailRefused& out);
std::string EncodeTailState(const TailState& message);
bool DecodeTailState(std::string_view bytes, TailState& out);
std::string EncodeReadIndex(const ReadIndex& message);
bool DecodeReadIndex(std::string_view bytes, ReadIndex& out);
std::string EncodeReadIndexReply(const ReadIndexReply& message);
bool DecodeReadIndexReply(std::string_view bytes, ReadIndexReply& out);
std::string EncodeTailCredit(std::uint32_t bytes);  // kCredit on a tail connection
bool DecodeTailCredit(std::string_view bytes, std::uint32_t& out);
std::string EncodeRenewBundle(const RenewBundle& message);
bool DecodeRenewBundle(std::string_view bytes, RenewBundle& out);
std::string EncodeNodeState(const NodeState& message);
bool DecodeNodeState(std::string_view bytes, NodeState& out);
// kRegistry: Registry::EncodeContents and Registry::LoadContents (registry.h).

}  // namespace coppice::replica
