#include "common/io/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "common/base/failpoint.h"

namespace coppice::io {
namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return StatusCode::kResourceExhausted;
    case ENOENT:
      return StatusCode::kNotFound;
    case EEXIST:
      return StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return StatusCode::kPermissionDenied;
    default:
      return StatusCode::kInternal;
  }
}

const char* AdviceFor(int error) {
  switch (error) {
    case ENOSPC:
      return "; free space on this file system";
    case EDQUOT:
      return "; raise the disk quota of this user";
    case EMFILE:
    case ENFILE:
      return "; raise the limit on open files (ulimit -n)";
    case EACCES:
    case EPERM:
      return "; give this user read and write permission";
    case EROFS:
      return "; mount the file system writable";
    case EIO:
      return "; check the device and the kernel log, do not trust this disk";
    case ENOTDIR:
      return "; a part of this path is not a directory";
    case EISDIR:
      return "; a file is expected here";
    default:
      return "";
  }
}

Status ErrnoStatus(const char* operation, const std::string& path, int error) {
  return MakeStatus(CodeOf(error),
                    fmt::format("{} {}: {}{}", operation, path,
                                std::generic_category().message(error), AdviceFor(error)));
}

// The errno that a test wants of this operation (common/base/failpoint.h), or 0.
int Injected(std::string_view failpoint) {
  switch (failpoint::Reached(failpoint)) {
    case failpoint::Fault::kIoError:
      return EIO;
    case failpoint::Fault::kNoSpace:
      return ENOSPC;
    default:
      return 0;
  }
}

template <typename Call>
auto RetryInterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { close(fd_); }

  Status WriteAt(std::uint64_t offset, std::string_view data) override {
    if (const int error = Injected("disk.write")) return ErrnoStatus("write", path_, error);
    while (!data.empty()) {
      const ssize_t n = RetryInterrupted(
          [&] { return pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset)); });
      if (n < 0) return ErrnoStatus("write", path_, errno);
      if (n == 0) return ErrnoStatus("write", path_, EIO);
      data.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return OkStatus();
  }

  Status ReadAt(std::uint64_t offset, std::size_t size, std::string& out) const override {
    out.clear();
    if (const int error = Injected("disk.read")) return ErrnoStatus("read", path_, error);
    out.resize(size);
    std::size_t got = 0;
    while (got < size) {
      const ssize_t n = RetryInterrupted([&] {
        return pread(fd_, out.data() + got, size - got, static_cast<off_t>(offset + got));
      });
      if (n < 0) {
        const int error = errno;
        out.clear();
        return ErrnoStatus("read", path_, error);
      }
      if (n == 0) break;
      got += static_cast<std::size_t>(n);
    }
    out.resize(got);
    return OkStatus();
  }

  Status Sync() override {
    if (const int error = Injected("disk.sync")) return ErrnoStatus("fdatasync", path_, error);
    if (RetryInterrupted([&] { return fdatasync(fd_); }) < 0) {
      return ErrnoStatus("fdatasync", path_, errno);
    }
    return OkStatus();
  }

  Status Truncate(std::uint64_t size) override {
    if (RetryInterrupted([&] { return ftruncate(fd_, static_cast<off_t>(size)); }) < 0) {
      return ErrnoStatus("truncate", path_, errno);
    }
    return OkStatus();
  }

  StatusOr<std::uint64_t> Size() const override {
    struct stat info {};
    if (fstat(fd_, &info) < 0) return ErrnoStatus("stat", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
  const std::string path_;
};

int OpenRaw(const std::string& path, int flags) {
  return RetryInterrupted([&] { return open(path.c_str(), flags | O_CLOEXEC, 0644); });
}

std::string ParentOf(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "/";
  const std::size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  const std::size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

}  // namespace

StatusOr<std::unique_ptr<File>> PosixDisk::Open(const std::string& path, Mode mode) {
  int flags = O_RDWR;
  if (mode == Mode::kCreate) flags |= O_CREAT;
  if (mode == Mode::kCreateNew) flags |= O_CREAT | O_EXCL;
  const int fd = OpenRaw(path, flags);
  if (fd < 0) return ErrnoStatus("open", path, errno);
  return std::make_unique<PosixFile>(fd, path);
}

StatusOr<std::vector<std::string>> PosixDisk::List(const std::string& directory) {
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) return ErrnoStatus("list", directory, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(dir, closedir);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* item = readdir(dir);
    if (item == nullptr) break;
    const std::string_view name = item->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus("list", directory, errno);
  std::sort(names.begin(), names.end());
  return names;
}

Status PosixDisk::CreateDirectories(const std::string& directory) {
  if (mkdir(directory.c_str(), 0755) == 0) return SyncDirectory(ParentOf(directory));
  if (errno == EEXIST) {
    struct stat info {};
    if (stat(directory.c_str(), &info) < 0) return ErrnoStatus("stat", directory, errno);
    return S_ISDIR(info.st_mode) ? OkStatus() : ErrnoStatus("mkdir", directory, ENOTDIR);
  }
  const std::string parent = ParentOf(directory);
  if (errno != ENOENT || parent == directory) return ErrnoStatus("mkdir", directory, errno);
  COPPICE_RETURN_IF_ERROR(CreateDirectories(parent));
  if (mkdir(directory.c_str(), 0755) < 0 && errno != EEXIST) {
    return ErrnoStatus("mkdir", directory, errno);
  }
  return SyncDirectory(parent);
}

Status PosixDisk::Remove(const std::string& path) {
  if (std::remove(path.c_str()) < 0) return ErrnoStatus("remove", path, errno);
  return OkStatus();
}

Status PosixDisk::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) < 0) {
    return ErrnoStatus("rename", fmt::format("{} to {}", from, to), errno);
  }
  return OkStatus();
}

Status PosixDisk::SyncDirectory(const std::string& directory) {
  if (const int error = Injected("disk.sync_directory")) {
    return ErrnoStatus("fsync directory", directory, error);
  }
  const int fd = OpenRaw(directory, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return ErrnoStatus("open directory", directory, errno);
  const int result = RetryInterrupted([&] { return fsync(fd); });
  const int error = errno;
  close(fd);
  return result < 0 ? ErrnoStatus("fsync directory", directory, error) : OkStatus();
}

StatusOr<std::uint64_t> PosixDisk::FreeBytes(const std::string& directory) {
  struct statvfs info {};
  if (RetryInterrupted([&] { return statvfs(directory.c_str(), &info); }) < 0) {
    return ErrnoStatus("statvfs", directory, errno);
  }
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

StatusOr<std::unique_ptr<File>> PosixDisk::Lock(const std::string& path) {
  const int fd = OpenRaw(path, O_RDWR | O_CREAT);
  if (fd < 0) return ErrnoStatus("open", path, errno);
  auto file = std::make_unique<PosixFile>(fd, path);
  if (RetryInterrupted([&] { return flock(fd, LOCK_EX | LOCK_NB); }) < 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus("lock", path, errno);
    std::string holder;
    if (!file->ReadAt(0, 32, holder).ok() || holder.empty()) holder = "unknown";
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return MakeStatus(StatusCode::kFailedPrecondition,
                      fmt::format("lock {}: another process (pid {}) holds the directory {}; stop "
                                  "it or use another data directory",
                                  path, holder, ParentOf(path)));
  }
  // The pid is for people only; the lock itself dies with the descriptor.
  COPPICE_RETURN_IF_ERROR(file->Truncate(0));
  COPPICE_RETURN_IF_ERROR(file->WriteAt(0, fmt::format("{}\n", getpid())));
  return file;
}

}  // namespace coppice::io
