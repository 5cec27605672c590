#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/io/disk.h"

namespace coppice::io {

// A disk in memory that forgets what was not synced. It keeps two images: what programs see, and
// what is certain to survive; between them, the writes and directory changes since the last sync.
// A crash keeps, of each 512-byte sector, any of the versions it had since the last sync, of a
// file's size likewise, and of a directory's changes any subset: sectors and names are written
// back in any order, a sector and a rename as a whole. Deterministic: same calls, same Rng, same
// result.
// Thread: one. Files must not be used after the disk died; after a crash they only fail.
class MemoryDisk final : public Disk {
 public:
  enum class Operation { kOpen, kRead, kWrite, kSync, kTruncate, kRename, kRemove, kSyncDirectory };
  static constexpr std::uint64_t kSectorBytes = 512;

  MemoryDisk();
  ~MemoryDisk() override;

  StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  Status CreateDirectories(const std::string& directory) override;
  Status Remove(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status SyncDirectory(const std::string& directory) override;
  StatusOr<std::uint64_t> FreeBytes(const std::string& directory) override;
  StatusOr<std::unique_ptr<File>> Lock(const std::string& path) override;

  // The machine loses power: files opened before only fail from now on, and locks are free.
  void Crash(Rng& rng);

  // The n-th such operation from now (1 = the next) fails once with `status`. A write that fails
  // leaves about its first half, in whole sectors; what was written before a sync that failed is
  // never synced any more, as on Linux, where the next fsync of such a file succeeds and lies. Names
  // are: SyncDirectory fails and the next one makes them durable.
  void FailNth(Operation operation, std::uint64_t n, Status status);
  void ClearFaults();
  // Writes that would make all files together larger are ResourceExhausted and write nothing.
  void SetCapacity(std::uint64_t bytes) { capacity_ = bytes; }
  std::uint64_t UsedBytes() const { return used_; }
  // Damage: changes one bit of a file on the disk itself. NotFound if it has no such byte.
  Status FlipBit(const std::string& path, std::uint64_t offset, int bit);
  // Every file by path, as programs see it.
  std::map<std::string, std::string> Image() const;
  // Calls so far, failed ones included.
  std::uint64_t Count(Operation operation) const;

 private:
  class Handle;
  struct Node;
  struct DirectoryChange;
  struct Fault {
    std::uint64_t left;
    Status status;
  };
  using NodePtr = std::shared_ptr<Node>;

  NodePtr Find(const std::string& path) const;
  StatusOr<NodePtr> FindParent(const std::string& path, std::string& name) const;
  Status Enter(Operation operation, const std::string& path);
  Status Grow(const std::string& path, std::uint64_t from, std::uint64_t to);
  void Recount();

  NodePtr root_;
  std::map<Operation, std::vector<Fault>> faults_;
  std::map<Operation, std::uint64_t> counts_;
  std::uint64_t capacity_ = UINT64_MAX;
  std::uint64_t used_ = 0;
  std::uint64_t boot_ = 0;  // counts crashes; a handle of an earlier one is dead
};

}  // namespace coppice::io
