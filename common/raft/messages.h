#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/entry.h"
#include "common/base/ids.h"

namespace coppice::raft {

// One struct per message. Each carries the sender's term; the envelope says from whom and to whom.

struct PreVoteRequest {  // thesis section 9.6; `term` is the term it would campaign in
  Term term;
  Index last_index;
  Term last_term;
};
struct PreVoteReply {
  Term term;
  bool granted = false;
};
struct VoteRequest {  // thesis section 3.4
  Term term;
  Index last_index;
  Term last_term;
  bool transfer =
      false;  // the leader asked for it (TimeoutNow): do not refuse for hearing a leader
};
struct VoteReply {
  Term term;
  bool granted = false;
};
struct Append {  // thesis section 3.5; without entries it is a heartbeat or probe
  Term term;
  Index prev_index;
  Term prev_term;
  Index commit;
  std::uint64_t round = 0;  // the newest ReadIndex round begun before this was sent
  std::vector<EntryPtr> entries;
};
struct AppendReply {
  Term term;
  bool ok = false;
  Index match;       // ok: everything up to here is durable at the sender and equals the leader's
  Index hint_index;  // refused: retry at or below this index...
  Term hint_term;    // ...which has this term at the sender (fast backup, thesis section 3.5)
  Index prev_index;  // refused: the probe that was refused, to tell a late answer
  std::uint64_t round = 0;  // echo of the append's round, also of refused ones of the same term
};
struct TimeoutNow {  // leadership transfer, thesis section 3.10
  Term term;
};
struct InstallSnapshot {  // carries no data: it asks the receiver to fetch one and report back
  Term term;
  Index index;
  Term index_term;
};
struct SnapshotReply {
  Term term;
  Index index;
  bool ok = false;
};

using Message = std::variant<PreVoteRequest, PreVoteReply, VoteRequest, VoteReply, Append,
                             AppendReply, TimeoutNow, InstallSnapshot, SnapshotReply>;

Term TermOf(const Message& message);

// The peers' wire (frame type kRaft). Append's entries follow as whole records, so their bytes are
// never encoded again. Decode verifies lengths and each record's checksums; false if malformed.
std::string EncodeMessage(const Message& message);
bool DecodeMessage(std::string_view bytes, Message& out);

}  // namespace coppice::raft
