#include "loadgen/sim/disk.h"

#include <utility>

namespace coppice::sim {
namespace {

Status DeadStatus() {
  return MakeStatus(StatusCode::kInternal, "the process is dead");
}

}  // namespace

class SimDisk::SimFile final : public io::File {
 public:
  SimFile(SimDisk& disk, std::unique_ptr<io::File> file) : disk_(disk), file_(std::move(file)) {}

  Status WriteAt(std::uint64_t offset, std::string_view data) override {
    COPPICE_RETURN_IF_ERROR(disk_.Enter());
    return file_->WriteAt(offset, data);
  }
  Status ReadAt(std::uint64_t offset, std::size_t size, std::string& out) const override {
    return file_->ReadAt(offset, size, out);
  }
  Status Sync() override {
    COPPICE_RETURN_IF_ERROR(disk_.Enter());
    disk_.SpendSync();
    return file_->Sync();
  }
  Status Truncate(std::uint64_t size) override {
    COPPICE_RETURN_IF_ERROR(disk_.Enter());
    return file_->Truncate(size);
  }
  StatusOr<std::uint64_t> Size() const override { return file_->Size(); }

 private:
  SimDisk& disk_;
  const std::unique_ptr<io::File> file_;
};

SimDisk::SimDisk(Fabric& fabric, std::uint64_t machine)
    : fabric_(fabric), rng_(fabric.seed, 0xd15c0000 + machine) {}

Status SimDisk::Alive() const {
  return process_ != nullptr && process_->dead() ? DeadStatus() : OkStatus();
}

Status SimDisk::Enter() {
  COPPICE_RETURN_IF_ERROR(Alive());
  if (die_in_ == 0 || --die_in_ > 0) return OkStatus();
  if (process_ == nullptr) return OkStatus();
  fabric_.coverage.Add("crashes-inside-a-disk-operation");
  lost_power_ = std::exchange(power_fails_, false);
  process_->Die();
  return DeadStatus();
}

void SimDisk::SpendSync() {
  if (process_ != nullptr) process_->machine_clock().Spend(rng_.Between(sync_min_, sync_max_));
}

StatusOr<std::unique_ptr<io::File>> SimDisk::Open(const std::string& path, Mode mode) {
  COPPICE_RETURN_IF_ERROR(mode == Mode::kMustExist ? Alive() : Enter());
  COPPICE_ASSIGN_OR_RETURN(auto file, memory_.Open(path, mode));
  return std::make_unique<SimFile>(*this, std::move(file));
}
StatusOr<std::vector<std::string>> SimDisk::List(const std::string& directory) {
  return memory_.List(directory);
}
Status SimDisk::CreateDirectories(const std::string& directory) {
  COPPICE_RETURN_IF_ERROR(Enter());
  return memory_.CreateDirectories(directory);
}
Status SimDisk::Remove(const std::string& path) {
  COPPICE_RETURN_IF_ERROR(Enter());
  return memory_.Remove(path);
}
Status SimDisk::Rename(const std::string& from, const std::string& to) {
  COPPICE_RETURN_IF_ERROR(Enter());
  return memory_.Rename(from, to);
}
Status SimDisk::SyncDirectory(const std::string& directory) {
  COPPICE_RETURN_IF_ERROR(Enter());
  SpendSync();
  return memory_.SyncDirectory(directory);
}
StatusOr<std::uint64_t> SimDisk::FreeBytes(const std::string& directory) {
  return memory_.FreeBytes(directory);
}
StatusOr<std::unique_ptr<io::File>> SimDisk::Lock(const std::string& path) {
  return memory_.Lock(path);
}

SimBackend::SimBackend(std::shared_ptr<mvcc::MemoryDisk> disk, Process& process,
                       double flush_chance)
    : rows_(std::make_unique<mvcc::MemoryBackend>(std::move(disk))),
      process_(process),
      flush_chance_(flush_chance),
      rng_(process.fabric().seed, 0xbac0000 + process.incarnation()) {}

SimBackend::SimBackend(std::unique_ptr<mvcc::KvBackend> rocksdb, const Status& failure,
                       Process& process, double flush_chance)
    : rows_(std::move(rocksdb)),
      failure_(&failure),
      process_(process),
      flush_chance_(flush_chance),
      rng_(process.fabric().seed, 0xbac0000 + process.incarnation()) {}

Status SimBackend::CheckFailure() const {
  if (process_.dead()) return DeadStatus();
  return failure_ == nullptr ? OkStatus() : *failure_;
}

Status SimBackend::Apply(std::span<const Write> batch) {
  COPPICE_RETURN_IF_ERROR(CheckFailure());
  COPPICE_RETURN_IF_ERROR(rows_->Apply(batch));
  if (rng_.Chance(flush_chance_)) return rows_->Flush();
  return OkStatus();
}

Status SimBackend::Flush() {
  if (process_.dead()) return DeadStatus();
  if (!Stalled()) COPPICE_RETURN_IF_ERROR(CheckFailure());
  return rows_->Flush();
}

}  // namespace coppice::sim
