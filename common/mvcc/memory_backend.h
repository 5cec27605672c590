#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/mvcc/mutex.h"
#include "common/mvcc/store.h"

namespace coppice::mvcc {

// What a MemoryBackend stores into: it outlives the backend, as a disk outlives a process, and it
// models a crash. For tests and the simulator.
// Thread: any.
class MemoryDisk {
 public:
  // Forgets what was applied since the last Flush. No backend may be open.
  void Crash();
  // A disk with a copy of what is applied, flushed: a snapshot.
  std::shared_ptr<MemoryDisk> Clone() const;
  // Makes Apply and Flush return `status` and change nothing, until it is set to OK again. A stall
  // (Unavailable) is of Apply alone: flushing is what ends one.
  void SetFailure(const Status& status);

 private:
  friend class MemoryBackend;
  using Rows = std::map<std::string, std::string, std::less<>>;
  struct State {
    Rows families[2];
    Rows& of(KvBackend::Family family) { return families[static_cast<int>(family)]; }
    const Rows& of(KvBackend::Family family) const { return families[static_cast<int>(family)]; }
    void Apply(const KvBackend::Write& write);
  };

  mutable Mutex mutex_;
  State live_ ABSL_GUARDED_BY(mutex_);
  State durable_ ABSL_GUARDED_BY(mutex_);
  std::vector<KvBackend::Write> unflushed_ ABSL_GUARDED_BY(mutex_);
  Status failure_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

class MemoryBackend final : public KvBackend {
 public:
  explicit MemoryBackend(std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>())
      : disk_(std::move(disk)) {}

  Status Apply(std::span<const Write> batch) override;
  bool Stalled() const override;
  Status Get(Family family, std::string_view key, std::string& value) const override;
  // The visitor must not call the backend.
  Status Scan(Family family, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override;
  Status Flush() override;
  Status CompactRange(std::string_view begin, std::string_view end) override;
  void StopCompacting() override {}
  std::uint64_t DiskBytes() const override;

 private:
  const std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace coppice::mvcc
