#pragma once

#include <string>

#include "common/client/types.h"

namespace coppice::client {

// The highest revision that this client has seen, of the one cluster that it speaks to. Sent with
// every request as coppice-min-revision it gives the four session promises (read your writes,
// monotonic reads, monotonic writes, writes follow reads) through any number of stateless proxies
// and of replicas that lag (docs/consistency.md, Sessions).
//
// Pure. Invariant: never goes back.
class SessionRevision {
 public:
  // False if the reply is another cluster's: its revisions mean something else.
  bool Observe(const ReplyHeader& header);

  Revision revision() const { return revision_; }
  std::uint64_t cluster_id() const { return cluster_id_; }
  // "cdf818194e3a8c32/42"; empty before the first reply.
  std::string Token() const;

 private:
  std::uint64_t cluster_id_ = 0;
  Revision revision_ = 0;
};

// The metadata of one attempt.
Metadata MetadataFor(const CallOptions& options, const SessionRevision& session);

}  // namespace coppice::client
