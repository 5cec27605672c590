#include "common/mvcc/memory_backend.h"

namespace coppice::mvcc {

void MemoryDisk::State::Apply(const KvBackend::Write& write) {
  Rows& rows = of(write.family);
  if (write.erase) {
    rows.erase(write.key);
  } else {
    rows.insert_or_assign(write.key, write.value);
  }
}

void MemoryDisk::Crash() {
  const MutexLock lock(mutex_);
  live_ = durable_;
  unflushed_.clear();
}

std::shared_ptr<MemoryDisk> MemoryDisk::Clone() const {
  auto copy = std::make_shared<MemoryDisk>();
  const ReaderLock lock(mutex_);
  const MutexLock copy_lock(copy->mutex_);
  copy->live_ = live_;
  copy->durable_ = live_;
  copy->bytes_ = bytes_;
  return copy;
}

void MemoryDisk::SetFailure(const Status& status) {
  const MutexLock lock(mutex_);
  failure_ = status;
}

Status MemoryBackend::Apply(std::span<const Write> batch) {
  const MutexLock lock(disk_->mutex_);
  if (!disk_->failure_.ok()) return disk_->failure_;
  for (const Write& write : batch) {
    disk_->live_.Apply(write);
    disk_->unflushed_.push_back(write);
    disk_->bytes_ += write.key.size() + write.value.size();
  }
  return OkStatus();
}

bool MemoryBackend::Stalled() const {
  const ReaderLock lock(disk_->mutex_);
  return disk_->failure_.code() == StatusCode::kUnavailable;
}

Status MemoryBackend::Get(Family family, std::string_view key, std::string& value) const {
  const ReaderLock lock(disk_->mutex_);
  const auto& rows = disk_->live_.of(family);
  const auto at = rows.find(key);
  if (at == rows.end()) return MakeStatus(StatusCode::kNotFound, "no such row");
  value = at->second;
  return OkStatus();
}

Status MemoryBackend::Scan(
    Family family, std::string_view begin, std::string_view end,
    const std::function<bool(std::string_view, std::string_view)>& visit) const {
  const ReaderLock lock(disk_->mutex_);
  const auto& rows = disk_->live_.of(family);
  for (auto at = rows.lower_bound(begin); at != rows.end(); ++at) {
    if (!end.empty() && at->first >= end) break;
    if (!visit(at->first, at->second)) break;
  }
  return OkStatus();
}

Status MemoryBackend::Flush() {
  const MutexLock lock(disk_->mutex_);
  const bool stalled = disk_->failure_.code() == StatusCode::kUnavailable;
  if (!disk_->failure_.ok() && !stalled) return disk_->failure_;
  for (const Write& write : disk_->unflushed_) disk_->durable_.Apply(write);
  disk_->unflushed_.clear();
  return OkStatus();
}

Status MemoryBackend::CompactRange(std::string_view /*begin*/, std::string_view /*end*/) {
  return OkStatus();
}

std::uint64_t MemoryBackend::DiskBytes() const {
  const ReaderLock lock(disk_->mutex_);
  return disk_->bytes_;
}

}  // namespace coppice::mvcc
