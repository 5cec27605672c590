#include "common/raft/types.h"

#include <algorithm>

#include "common/base/coding.h"
#include "common/raft/quorum.h"

namespace coppice::raft {
namespace {

// Version 1: three lists, each a u16 count and that many u64 ids.
constexpr char kVersion = 1;

void PutList(std::string& out, const std::vector<NodeId>& ids) {
  PutLe<std::uint16_t>(out, static_cast<std::uint16_t>(ids.size()));
  for (const NodeId id : ids) PutLe<std::uint64_t>(out, id.value());
}

bool GetList(WireReader& reader, std::vector<NodeId>& ids) {
  std::uint16_t count = 0;
  if (!reader.Fixed(count) || count > kMembersMax) return false;
  ids.clear();
  for (std::uint16_t i = 0; i < count; ++i) {
    std::uint64_t id = 0;
    if (!reader.Fixed(id)) return false;
    ids.emplace_back(id);
  }
  return std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end();
}

}  // namespace

std::string EncodeConfiguration(const Configuration& configuration) {
  std::string out(1, kVersion);
  PutList(out, configuration.voters);
  PutList(out, configuration.voters_old);
  PutList(out, configuration.learners);
  return out;
}

bool DecodeConfiguration(std::string_view bytes, Configuration& out) {
  if (bytes.empty() || bytes.front() != kVersion) return false;
  WireReader reader(bytes.substr(1));
  return GetList(reader, out.voters) && GetList(reader, out.voters_old) &&
         GetList(reader, out.learners) && reader.done();
}

}  // namespace coppice::raft
