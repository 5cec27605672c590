#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice::replica {

enum class NodeRole : std::uint8_t { kVoter = 1, kLearner = 2, kProxy = 3 };

// What a learner or proxy says of itself when it registers.
struct Registration {
  NodeId id;
  std::string name;
  NodeRole role = NodeRole::kLearner;
  std::vector<std::string> client_urls;
  std::vector<std::string> peer_urls;
  std::string metrics_url;
  NodeId parent;          // its upstream now; 0 = none
  std::int64_t boot = 0;  // wall clock at process start, us: only to tell which of two processes
                          // with one name is the newer
  Micros ttl = 10 * kSecond;

  bool operator==(const Registration&) const = default;
};

// A registered node's sign of life, as old as `age` says when it is sent; each hop adds the time
// it held it, measured on its own clock.
struct Renewal {
  NodeId id;
  std::int64_t boot = 0;
  Micros age = 0;
  bool operator==(const Renewal&) const = default;
};

// What goes towards the leader (frame kRegistryRenew): renewals of the sender and of all below it,
// and full registrations of those that do not yet find themselves in the registry as they are.
struct RenewBundle {
  std::vector<Renewal> renewals;
  std::vector<Registration> joins;
  bool empty() const { return renewals.empty() && joins.empty(); }
};

// Limits of one registration: what a stranger may make every node keep.
constexpr std::size_t kRegistrationNameMax = 256;
constexpr std::size_t kRegistrationUrlsMax = 16;
constexpr std::size_t kRegistrationUrlBytesMax = 512;
constexpr Micros kRegistrationTtlMin = 1 * kSecond;
constexpr Micros kRegistrationTtlMax = 600 * kSecond;
// Empty if acceptable, else what is wrong with it.
std::string CheckRegistration(const Registration& registration);

void PutRegistration(std::string& out, const Registration& registration);
bool ReadRegistration(std::string_view bytes, Registration& out);

}  // namespace coppice::replica
