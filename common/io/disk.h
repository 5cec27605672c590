#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace coppice::io {

// A file open for reading and writing. Thread: one at a time. Errors name the path and the cause;
// a full disk (or quota, or no descriptors left) is ResourceExhausted, a missing file NotFound, a
// lack of rights PermissionDenied, a file that must be new AlreadyExists, all others Internal.
class File {
 public:
  virtual ~File() = default;
  virtual Status WriteAt(std::uint64_t offset, std::string_view data) = 0;
  // Reads up to `size` bytes; fewer only at the end of the file.
  virtual Status ReadAt(std::uint64_t offset, std::size_t size, std::string& out) const = 0;
  virtual Status Sync() = 0;  // fdatasync: data, and the size if it changed
  virtual Status Truncate(std::uint64_t size) = 0;
  virtual StatusOr<std::uint64_t> Size() const = 0;
};

// A directory tree. What is not synced is lost, torn or reordered in a crash: file contents until
// File::Sync, names until SyncDirectory.
// POSIX: PosixDisk. Tests and the simulator: MemoryDisk, which keeps both images and can crash.
class Disk {
 public:
  virtual ~Disk() = default;
  enum class Mode { kMustExist, kCreate, kCreateNew };
  virtual StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) = 0;
  virtual StatusOr<std::vector<std::string>> List(
      const std::string& directory) = 0;  // names, sorted
  // With all its missing parents; their names are durable when it returns.
  virtual Status CreateDirectories(const std::string& directory) = 0;
  virtual Status Remove(const std::string& path) = 0;  // a file, or a directory that is empty
  // Replaces `to`, atomically in a crash too. Both are in the same directory.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status SyncDirectory(const std::string& directory) = 0;
  virtual StatusOr<std::uint64_t> FreeBytes(const std::string& directory) = 0;
  // Takes an exclusive lock held until the returned object dies; a second taker gets
  // FailedPrecondition, which says who seems to hold it.
  virtual StatusOr<std::unique_ptr<File>> Lock(const std::string& path) = 0;
};

}  // namespace coppice::io
