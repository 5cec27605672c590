#include "common/mvcc/meta.h"

#include "common/base/coding.h"

namespace coppice::mvcc {

std::string EncodeApplied(const AppliedMark& mark) {
  std::string out;
  PutLe(out, mark.applied.value());
  PutLe(out, mark.term.value());
  PutLe(out, mark.revision);
  return out;
}

bool DecodeApplied(std::string_view bytes, AppliedMark& mark) {
  if (bytes.size() != 24) return false;
  mark.applied = Index(GetLe<std::uint64_t>(bytes.data()));
  mark.term = Term(GetLe<std::uint64_t>(bytes.data() + 8));
  mark.revision = GetLe<Revision>(bytes.data() + 16);
  return true;
}

std::string EncodeRevision(Revision revision) {
  std::string out;
  PutLe(out, revision);
  return out;
}

bool DecodeRevision(std::string_view bytes, Revision& revision) {
  if (bytes.size() != sizeof(Revision)) return false;
  revision = GetLe<Revision>(bytes.data());
  return true;
}

std::string AlarmKey(AlarmType type, NodeId member) {
  std::string key(kMetaAlarms);
  key.push_back(static_cast<char>(type));
  PutBe64(key, member.value());
  return key;
}

bool ParseAlarmKey(std::string_view key, AlarmType& type, NodeId& member) {
  if (key.size() != kMetaAlarms.size() + 9 || !key.starts_with(kMetaAlarms)) return false;
  key.remove_prefix(kMetaAlarms.size());
  type = static_cast<AlarmType>(key[0]);
  member = NodeId(GetBe64(key.data() + 1));
  return true;
}

}  // namespace coppice::mvcc
