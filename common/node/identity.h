#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"

namespace coppice::node {

// A voter's id as etcd derives it: the first 8 bytes of the SHA-1 over its peer URLs, sorted, and
// the cluster token (etcd server/etcdserver/api/membership/member.go), so that every voter computes
// the same ids from the same --initial-cluster.
NodeId VoterId(std::vector<std::string> peer_urls, std::string_view cluster_token);

// The first 8 bytes of the SHA-1 over the sorted voter ids, as etcd's.
std::uint64_t ClusterId(std::vector<NodeId> voters);

}  // namespace coppice::node
