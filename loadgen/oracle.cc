#include "loadgen/oracle.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/coding.h"
#include "common/base/crc32c.h"

namespace coppice::loadgen {

Oracle::Oracle() = default;

// A mark may also be a length or a part of a number: only what looks like a tag is one.
std::string_view Oracle::TagOf(std::string_view command) {
  std::size_t begin = command.find(kTagMark);
  while (begin != std::string_view::npos) {
    const std::size_t end = command.find_first_not_of("0123456789.", begin + 1);
    if (end == std::string_view::npos) return {};
    if (command[end] == kTagMark && end > begin + 1) {
      return command.substr(begin + 1, end - begin - 1);
    }
    begin = command.find(kTagMark, begin + 1);
  }
  return {};
}

StatusOr<Oracle> Oracle::Replay(const std::vector<EntryPtr>& log) {
  Oracle oracle;
  for (const EntryPtr& entry : log) COPPICE_RETURN_IF_ERROR(oracle.Apply(*entry));
  return oracle;
}

Status Oracle::Apply(const Entry& entry) {
  if (entry.index() != last_ + 1) {
    return MakeStatus(StatusCode::kDataLoss, fmt::format("entry {} follows entry {} in the log",
                                                         entry.index().value(), last_.value()));
  }
  last_ = entry.index();
  if (entry.kind() != coppice::RecordKind::kCommand) return OkStatus();
  mvcc::Command command;
  if (!mvcc::DecodeCommand(entry.payload(), command)) {
    return MakeStatus(StatusCode::kDataLoss,
                      fmt::format("entry {} is no command", entry.index().value()));
  }
  Mutation mutation;
  mutation.index = entry.index();
  mutation.before = model_.revision();
  mutation.result = model_.Apply(command);
  mutation.after = model_.revision();
  if (const auto* compact = std::get_if<mvcc::CompactOp>(&command)) {
    mutation.is_compaction = true;
    if (mutation.result.error == mvcc::Error::kNone) {
      compactions_.push_back({entry.index(), compact->revision});
    }
  } else if (const std::string_view tag = TagOf(entry.payload()); !tag.empty()) {
    tagged_[std::string(tag)].push_back(mutations_.size());
  }
  mutations_.push_back(std::move(mutation));
  return OkStatus();
}

const std::vector<std::size_t>& Oracle::Tagged(std::string_view tag) const {
  static const std::vector<std::size_t> kNone;
  const auto at = tagged_.find(tag);
  return at == tagged_.end() ? kNone : at->second;
}

// As documented of HashKV (docs/formats.md): the revision, then each key's length and bytes.
std::uint32_t Oracle::Hash(Revision revision) const {
  mvcc::RangeOp all;
  all.range.unbounded = true;
  std::string frame;
  PutLe(frame, revision);
  std::uint32_t hash = Crc32c(0, frame);
  for (const mvcc::testing::Kv& kv : model_.RangeAt(all, revision).kvs) {
    const std::string bytes = mvcc::testing::EncodeKv(kv);
    frame.clear();
    PutLe(frame, static_cast<std::uint64_t>(bytes.size()));
    hash = Crc32c(Crc32c(hash, frame), bytes);
  }
  return hash;
}

}  // namespace coppice::loadgen
