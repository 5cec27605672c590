#pragma once

#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/mvcc/ops.h"

namespace coppice::mvcc {

// The Store's own keys in KvBackend::Family::kMeta (docs/formats.md); a caller's MetaWrites have
// other prefixes.
constexpr std::string_view kMetaPrefix = "mvcc/";
constexpr std::string_view kMetaFormat = "mvcc/format";    // kFormatVersion, decimal
constexpr std::string_view kMetaApplied = "mvcc/applied";  // AppliedMark
constexpr std::string_view kMetaCompact = "mvcc/compact";  // compact revision, 8 bytes
constexpr std::string_view kMetaAlarms = "mvcc/alarm/";    // + type u8, member u64: "1"
constexpr int kFormatVersion = 1;

struct AppliedMark {
  Index applied;
  Term term;
  Revision revision = 1;
};
std::string EncodeApplied(const AppliedMark& mark);
bool DecodeApplied(std::string_view bytes, AppliedMark& mark);
std::string EncodeRevision(Revision revision);
bool DecodeRevision(std::string_view bytes, Revision& revision);
std::string AlarmKey(AlarmType type, NodeId member);
bool ParseAlarmKey(std::string_view key, AlarmType& type, NodeId& member);

}  // namespace coppice::mvcc
