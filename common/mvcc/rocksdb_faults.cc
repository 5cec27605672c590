#include "common/mvcc/rocksdb_faults.h"

#include <memory>
#include <string>
#include <utility>

#include "common/base/failpoint.h"
#include "rocksdb/file_system.h"

namespace coppice::mvcc {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus Injected(std::string_view failpoint) {
  switch (failpoint::Reached(failpoint)) {
    case failpoint::Fault::kIoError:
      return IOStatus::IOError("failpoint " + std::string(failpoint));
    case failpoint::Fault::kNoSpace:
      return IOStatus::NoSpace("failpoint " + std::string(failpoint));
    default:
      return IOStatus::OK();
  }
}

// `call()`, unless the point has a fault for it.
template <typename Call>
IOStatus Or(std::string_view failpoint, Call&& call) {
  IOStatus status = Injected(failpoint);
  if (status.ok()) status = call();
  return status;
}

class FaultyWritable final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  using FSWritableFileOwnerWrapper::PositionedAppend;
  // The only way in which WaitForSpace writes.
  IOStatus PositionedAppend(const Slice& data, std::uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    return Or("store.write",
              [&] { return target()->PositionedAppend(data, offset, options, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return Or("store.sync", [&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Or("store.sync", [&] { return target()->Fsync(options, debug); });
  }
};

class FaultyRandomAccess final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  using FSRandomAccessFileOwnerWrapper::FSRandomAccessFileOwnerWrapper;
  IOStatus Read(std::uint64_t offset, std::size_t size, const IOOptions& options, Slice* result,
                char* scratch, IODebugContext* debug) const override {
    return Or("store.read",
              [&] { return target()->Read(offset, size, options, result, scratch, debug); });
  }
  IOStatus MultiRead(rocksdb::FSReadRequest* requests, std::size_t count, const IOOptions& options,
                     IODebugContext* debug) override {
    return Or("store.read", [&] { return target()->MultiRead(requests, count, options, debug); });
  }
};

class FaultyDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  explicit FaultyDirectory(std::unique_ptr<rocksdb::FSDirectory>&& directory)
      : FSDirectoryWrapper(directory.get()), directory_(std::move(directory)) {}
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Or("store.sync", [&] { return directory_->Fsync(options, debug); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& how) override {
    return Or("store.sync", [&] { return directory_->FsyncWithDirOptions(options, debug, how); });
  }

 private:
  std::unique_ptr<rocksdb::FSDirectory> directory_;
};

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "CoppiceFaults"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<FaultyWritable>(std::move(*file));
    return status;
  }
  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* debug) override {
    IOStatus status = FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<FaultyRandomAccess>(std::move(*file));
    return status;
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* debug) override {
    IOStatus status = FileSystemWrapper::NewDirectory(name, options, directory, debug);
    if (status.ok()) *directory = std::make_unique<FaultyDirectory>(std::move(*directory));
    return status;
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> StoreFileSystem() {
  if (!failpoint::Armed()) return rocksdb::FileSystem::Default();
  return std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default());
}

}  // namespace coppice::mvcc
