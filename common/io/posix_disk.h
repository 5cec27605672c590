#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/io/disk.h"

namespace coppice::io {

// The real file system. A write that the kernel took in part is continued, an interrupted call is
// repeated; everything else comes back as an error that names the operation, the path, the cause
// and, where there is something, what to do. Holds no state: any thread.
class PosixDisk final : public Disk {
 public:
  StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  Status CreateDirectories(const std::string& directory) override;
  Status Remove(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status SyncDirectory(const std::string& directory) override;
  StatusOr<std::uint64_t> FreeBytes(const std::string& directory) override;
  StatusOr<std::unique_ptr<File>> Lock(const std::string& path) override;
};

}  // namespace coppice::io
