#include "common/mvcc/rocksdb_space.h"

#include <chrono>
#include <string>
#include <utility>

#include "common/base/log.h"

namespace coppice::mvcc {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::chrono::milliseconds kRetryInterval{200};

IOStatus InDoubt(IOStatus status) {
  return status.IsNoSpace() ? IOStatus::IOError("no space in a sync: " + status.ToString())
                            : status;
}

// Writes by position, so that the part of a write which fitted is written again where it was.
class WaitingWritable final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WaitingWritable(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::shared_ptr<SpaceWait> wait)
      : FSWritableFileOwnerWrapper(std::move(file)), wait_(std::move(wait)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return PositionedAppend(data, size_, options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*info*/, IODebugContext* debug) override {
    return PositionedAppend(data, size_, options, debug);
  }
  IOStatus PositionedAppend(const Slice& data, std::uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    IOStatus status =
        wait_->Retry([&] { return target()->PositionedAppend(data, offset, options, debug); });
    if (status.ok()) size_ = offset + data.size();
    return status;
  }
  IOStatus PositionedAppend(const Slice& data, std::uint64_t offset, const IOOptions& options,
                            const rocksdb::DataVerificationInfo& /*info*/,
                            IODebugContext* debug) override {
    return PositionedAppend(data, offset, options, debug);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    size_ = size;
    return target()->Truncate(size, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return InDoubt(target()->Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return InDoubt(target()->Fsync(options, debug));
  }
  IOStatus RangeSync(std::uint64_t offset, std::uint64_t size, const IOOptions& options,
                     IODebugContext* debug) override {
    return InDoubt(target()->RangeSync(offset, size, options, debug));
  }

 private:
  const std::shared_ptr<SpaceWait> wait_;
  std::uint64_t size_ = 0;
};

class WaitingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  WaitingFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target,
                    std::shared_ptr<SpaceWait> wait)
      : FileSystemWrapper(target), wait_(std::move(wait)) {}
  const char* Name() const override { return "CoppiceSpace"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    IOStatus status = wait_->Retry(
        [&] { return FileSystemWrapper::NewWritableFile(name, options, file, debug); });
    if (status.ok()) *file = std::make_unique<WaitingWritable>(std::move(*file), wait_);
    return status;
  }

 private:
  const std::shared_ptr<SpaceWait> wait_;
};

}  // namespace

IOStatus SpaceWait::Retry(const std::function<IOStatus()>& attempt) {
  IOStatus status = attempt();
  if (!status.IsNoSpace()) return status;
  std::unique_lock lock(mutex_);
  if (state_ == State::kBefore) return status;
  if (waiting_++ == 0) {
    COPPICE_LOG(kError, "the store waits for space on its disk: {}", status.ToString());
  }
  while (state_ == State::kWaits && status.IsNoSpace()) {
    changed_.wait_for(lock, kRetryInterval);
    lock.unlock();
    status = attempt();
    lock.lock();
  }
  if (--waiting_ == 0 && !status.IsNoSpace()) {
    COPPICE_LOG(kInfo, "the store goes on: its disk has space again");
  }
  return status.IsNoSpace() ? IOStatus::Busy("the process ends before there was space") : status;
}

bool SpaceWait::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_ > 0;
}

void SpaceWait::Begin() {
  const std::lock_guard lock(mutex_);
  state_ = State::kWaits;
}

void SpaceWait::End() {
  const std::lock_guard lock(mutex_);
  state_ = State::kEnded;
  changed_.notify_all();
}

std::shared_ptr<rocksdb::FileSystem> WaitForSpace(std::shared_ptr<rocksdb::FileSystem> target,
                                                  std::shared_ptr<SpaceWait> wait) {
  return std::make_shared<WaitingFileSystem>(target, std::move(wait));
}

}  // namespace coppice::mvcc
