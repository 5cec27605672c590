#include "common/io/memory_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace coppice::io {
namespace {

// A write, or (data empty) a change of the size.
struct Change {
  std::uint64_t offset;
  std::string data;
  std::uint64_t size_after;
};

void ApplyTo(std::string& image, const Change& change) {
  if (change.data.empty()) {
    image.resize(change.size_after);
    return;
  }
  if (image.size() < change.size_after) image.resize(change.size_after);
  image.replace(change.offset, change.data.size(), change.data);
}

// The bytes of one sector as they stand after the first `kept` of the changes.
void RewriteSector(std::uint64_t sector, const std::vector<Change>& changes, std::size_t kept,
                   std::string& image) {
  const std::uint64_t begin = sector * MemoryDisk::kSectorBytes;
  const std::uint64_t end = begin + MemoryDisk::kSectorBytes;
  for (std::size_t i = 0; i < kept; ++i) {
    const Change& change = changes[i];
    if (change.data.empty()) {
      if (change.size_after < end) {
        const std::uint64_t from = std::max(begin, change.size_after);
        image.replace(from, end - from, end - from, '\0');
      }
      continue;
    }
    const std::uint64_t from = std::max(begin, change.offset);
    const std::uint64_t to = std::min(end, change.offset + change.data.size());
    if (from < to) image.replace(from, to - from, change.data, from - change.offset, to - from);
  }
}

std::string CrashImage(const std::string& durable, const std::vector<Change>& changes, Rng& rng) {
  std::uint64_t size_max = durable.size();
  for (const Change& change : changes) size_max = std::max(size_max, change.size_after);
  const std::uint64_t sectors =
      (size_max + MemoryDisk::kSectorBytes - 1) / MemoryDisk::kSectorBytes;
  std::string image = durable;
  image.resize(sectors * MemoryDisk::kSectorBytes);
  // All lost and all kept are the common outcomes in practice; give each a good share.
  const std::uint64_t mode = rng.Below(4);
  const auto choose = [&]() -> std::size_t {
    if (mode == 0) return 0;
    return mode == 1 ? changes.size() : rng.Below(changes.size() + 1);
  };
  for (std::uint64_t sector = 0; sector < sectors; ++sector) {
    RewriteSector(sector, changes, choose(), image);
  }
  const std::size_t kept = choose();
  image.resize(kept == 0 ? durable.size() : changes[kept - 1].size_after);
  return image;
}

std::vector<std::string> PartsOf(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin < path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin && path.compare(begin, end - begin, ".") != 0) {
      parts.push_back(path.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  return parts;
}

Status NotFoundAt(const char* operation, const std::string& path) {
  return MakeStatus(StatusCode::kNotFound,
                    fmt::format("{} {}: No such file or directory", operation, path));
}

}  // namespace

struct MemoryDisk::DirectoryChange {
  std::string removed;  // empty: none
  std::string added;    // empty: none
  NodePtr node;         // what `added` names
};

struct MemoryDisk::Node {
  bool directory = false;
  bool locked = false;
  std::string data, durable_data;
  std::vector<Change> changes;
  std::map<std::string, NodePtr> entries, durable_entries;
  std::vector<DirectoryChange> directory_changes;

  static void ApplyTo(std::map<std::string, NodePtr>& names, const DirectoryChange& change) {
    if (!change.removed.empty()) names.erase(change.removed);
    if (!change.added.empty()) names[change.added] = change.node;
  }
  void Record(DirectoryChange change) {
    ApplyTo(entries, change);
    directory_changes.push_back(std::move(change));
  }
  void Record(Change change) {
    io::ApplyTo(data, change);
    changes.push_back(std::move(change));
  }
  void CrashNames(Rng& rng);
};

void MemoryDisk::Node::CrashNames(Rng& rng) {
  const std::uint64_t mode = rng.Below(4);
  for (const DirectoryChange& change : directory_changes) {
    if (mode == 1 || (mode > 1 && rng.Chance(0.5))) ApplyTo(durable_entries, change);
  }
  directory_changes.clear();
  entries = durable_entries;
}

class MemoryDisk::Handle final : public File {
 public:
  Handle(MemoryDisk& disk, NodePtr node, std::string path, bool lock)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)), lock_(lock) {
    if (lock_) node_->locked = true;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() override {
    if (lock_ && boot_ == disk_.boot_) node_->locked = false;
  }

  Status WriteAt(std::uint64_t offset, std::string_view data) override {
    COPPICE_RETURN_IF_ERROR(Alive("write"));
    Status status = disk_.Enter(Operation::kWrite, path_);
    if (!status.ok()) {
      // Whole sectors, as a kill or a device error leaves them.
      const std::uint64_t end = (offset + data.size() / 2) / kSectorBytes * kSectorBytes;
      data = data.substr(0, end > offset ? end - offset : 0);
    }
    if (data.empty()) return status;
    const std::uint64_t size = std::max<std::uint64_t>(node_->data.size(), offset + data.size());
    COPPICE_RETURN_IF_ERROR(disk_.Grow(path_, node_->data.size(), size));
    node_->Record(Change{offset, std::string(data), size});
    return status;
  }

  Status ReadAt(std::uint64_t offset, std::size_t size, std::string& out) const override {
    out.clear();
    COPPICE_RETURN_IF_ERROR(Alive("read"));
    COPPICE_RETURN_IF_ERROR(disk_.Enter(Operation::kRead, path_));
    if (offset < node_->data.size()) out.assign(node_->data, offset, size);
    return OkStatus();
  }

  Status Sync() override {
    COPPICE_RETURN_IF_ERROR(Alive("fdatasync"));
    Status status = disk_.Enter(Operation::kSync, path_);
    if (status.ok()) {
      for (const Change& change : node_->changes) ApplyTo(node_->durable_data, change);
    }
    node_->changes.clear();
    return status;
  }

  Status Truncate(std::uint64_t size) override {
    COPPICE_RETURN_IF_ERROR(Alive("truncate"));
    COPPICE_RETURN_IF_ERROR(disk_.Enter(Operation::kTruncate, path_));
    COPPICE_RETURN_IF_ERROR(disk_.Grow(path_, node_->data.size(), size));
    node_->Record(Change{0, "", size});
    return OkStatus();
  }

  StatusOr<std::uint64_t> Size() const override {
    COPPICE_RETURN_IF_ERROR(Alive("stat"));
    return static_cast<std::uint64_t>(node_->data.size());
  }

 private:
  Status Alive(const char* operation) const {
    if (boot_ == disk_.boot_) return OkStatus();
    return MakeStatus(StatusCode::kInternal,
                      fmt::format("{} {}: opened before the crash", operation, path_));
  }

  MemoryDisk& disk_;
  const NodePtr node_;
  const std::string path_;
  const bool lock_;
  const std::uint64_t boot_ = disk_.boot_;
};

MemoryDisk::MemoryDisk() : root_(std::make_shared<Node>()) {
  root_->directory = true;
}
MemoryDisk::~MemoryDisk() = default;

MemoryDisk::NodePtr MemoryDisk::Find(const std::string& path) const {
  NodePtr node = root_;
  for (const std::string& part : PartsOf(path)) {
    const auto it = node->entries.find(part);
    if (it == node->entries.end()) return nullptr;
    node = it->second;
  }
  return node;
}

StatusOr<MemoryDisk::NodePtr> MemoryDisk::FindParent(const std::string& path,
                                                     std::string& name) const {
  const std::vector<std::string> parts = PartsOf(path);
  if (parts.empty()) return NotFoundAt("open", path);
  name = parts.back();
  NodePtr node = root_;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const auto it = node->entries.find(parts[i]);
    if (it == node->entries.end() || !it->second->directory) return NotFoundAt("open", path);
    node = it->second;
  }
  return node;
}

Status MemoryDisk::Enter(Operation operation, const std::string& path) {
  ++counts_[operation];
  const auto it = faults_.find(operation);
  if (it == faults_.end()) return OkStatus();
  Status status = OkStatus();
  std::vector<Fault>& faults = it->second;
  for (Fault& fault : faults) {
    if (--fault.left == 0) status = fault.status;
  }
  std::erase_if(faults, [](const Fault& fault) { return fault.left == 0; });
  return status.ok() ? status : Annotate(status, path);
}

Status MemoryDisk::Grow(const std::string& path, std::uint64_t from, std::uint64_t to) {
  if (to > from && (used_ > capacity_ || to - from > capacity_ - used_)) {
    return MakeStatus(
        StatusCode::kResourceExhausted,
        fmt::format("write {}: No space left on device; free space on this file system", path));
  }
  used_ = used_ - from + to;
  return OkStatus();
}

StatusOr<std::unique_ptr<File>> MemoryDisk::Open(const std::string& path, Mode mode) {
  COPPICE_RETURN_IF_ERROR(Enter(Operation::kOpen, path));
  std::string name;
  COPPICE_ASSIGN_OR_RETURN(const NodePtr parent, FindParent(path, name));
  const auto it = parent->entries.find(name);
  if (it != parent->entries.end()) {
    if (mode == Mode::kCreateNew) {
      return MakeStatus(StatusCode::kAlreadyExists, fmt::format("open {}: File exists", path));
    }
    if (it->second->directory) {
      return MakeStatus(StatusCode::kInternal, fmt::format("open {}: Is a directory", path));
    }
    return std::make_unique<Handle>(*this, it->second, path, false);
  }
  if (mode == Mode::kMustExist) return NotFoundAt("open", path);
  auto node = std::make_shared<Node>();
  parent->Record(DirectoryChange{"", name, node});
  return std::make_unique<Handle>(*this, std::move(node), path, false);
}

StatusOr<std::vector<std::string>> MemoryDisk::List(const std::string& directory) {
  const NodePtr node = Find(directory);
  if (node == nullptr || !node->directory) return NotFoundAt("list", directory);
  std::vector<std::string> names;
  for (const auto& [name, unused] : node->entries) names.push_back(name);
  return names;
}

Status MemoryDisk::CreateDirectories(const std::string& directory) {
  NodePtr node = root_;
  for (const std::string& part : PartsOf(directory)) {
    NodePtr& child = node->entries[part];
    if (child == nullptr) {
      child = std::make_shared<Node>();
      child->directory = true;
      node->durable_entries[part] = child;
    }
    if (!child->directory) {
      return MakeStatus(StatusCode::kInternal, fmt::format("mkdir {}: Not a directory; a part of "
                                                           "this path is not a directory",
                                                           directory));
    }
    node = child;
  }
  return OkStatus();
}

Status MemoryDisk::Remove(const std::string& path) {
  COPPICE_RETURN_IF_ERROR(Enter(Operation::kRemove, path));
  std::string name;
  COPPICE_ASSIGN_OR_RETURN(const NodePtr parent, FindParent(path, name));
  const auto it = parent->entries.find(name);
  if (it == parent->entries.end()) return NotFoundAt("remove", path);
  if (!it->second->entries.empty()) {
    return MakeStatus(StatusCode::kInternal, fmt::format("remove {}: Directory not empty", path));
  }
  used_ -= it->second->data.size();
  parent->Record(DirectoryChange{name, "", nullptr});
  return OkStatus();
}

Status MemoryDisk::Rename(const std::string& from, const std::string& to) {
  COPPICE_RETURN_IF_ERROR(Enter(Operation::kRename, from));
  std::string from_name;
  std::string to_name;
  COPPICE_ASSIGN_OR_RETURN(const NodePtr parent, FindParent(from, from_name));
  COPPICE_ASSIGN_OR_RETURN(const NodePtr to_parent, FindParent(to, to_name));
  const auto it = parent->entries.find(from_name);
  if (it == parent->entries.end()) return NotFoundAt("rename", from);
  COPPICE_CHECK(parent == to_parent, "a rename stays in its directory");
  if (from_name == to_name) return OkStatus();
  const NodePtr node = it->second;
  const auto replaced = parent->entries.find(to_name);
  if (replaced != parent->entries.end()) used_ -= replaced->second->data.size();
  parent->Record(DirectoryChange{from_name, to_name, node});
  return OkStatus();
}

Status MemoryDisk::SyncDirectory(const std::string& directory) {
  const NodePtr node = Find(directory);
  if (node == nullptr || !node->directory) return NotFoundAt("fsync directory", directory);
  // Unlike a file's data, names are not forgotten when this fails: they go through the file
  // system's journal, and one that cannot be written ends all writing (ext4, XFS, btrfs).
  COPPICE_RETURN_IF_ERROR(Enter(Operation::kSyncDirectory, directory));
  for (const DirectoryChange& change : node->directory_changes) {
    Node::ApplyTo(node->durable_entries, change);
  }
  node->directory_changes.clear();
  return OkStatus();
}

StatusOr<std::uint64_t> MemoryDisk::FreeBytes(const std::string& directory) {
  if (Find(directory) == nullptr) return NotFoundAt("statvfs", directory);
  return capacity_ > used_ ? capacity_ - used_ : 0;
}

StatusOr<std::unique_ptr<File>> MemoryDisk::Lock(const std::string& path) {
  COPPICE_RETURN_IF_ERROR(Open(path, Mode::kCreate).status());
  const NodePtr node = Find(path);
  if (node->locked) {
    return MakeStatus(StatusCode::kFailedPrecondition,
                      fmt::format("lock {}: another process holds the directory; stop it or use "
                                  "another data directory",
                                  path));
  }
  return std::make_unique<Handle>(*this, node, path, true);
}

namespace {

// Calls `visit(path, node)` for the node and all below it, in the order of their paths.
template <typename NodePtr, typename Visit>
void Walk(const std::string& path, const NodePtr& node, const Visit& visit) {
  visit(path, *node);
  for (const auto& [name, child] : node->entries) {
    Walk(fmt::format("{}/{}", path, name), child, visit);
  }
}

}  // namespace

void MemoryDisk::Crash(Rng& rng) {
  ++boot_;
  // Names first: what only a lost name led to is gone, and only what is left draws from `rng`.
  Walk("", root_, [&](const std::string&, Node& node) { node.CrashNames(rng); });
  Walk("", root_, [&](const std::string&, Node& node) {
    if (!node.changes.empty()) {
      node.durable_data = CrashImage(node.durable_data, node.changes, rng);
    }
    node.changes.clear();
    node.data = node.durable_data;
    node.locked = false;
  });
  Recount();
}

void MemoryDisk::FailNth(Operation operation, std::uint64_t n, Status status) {
  COPPICE_CHECK(n > 0 && !status.ok());
  faults_[operation].push_back({n, std::move(status)});
}

void MemoryDisk::ClearFaults() {
  faults_.clear();
}

Status MemoryDisk::FlipBit(const std::string& path, std::uint64_t offset, int bit) {
  const NodePtr node = Find(path);
  if (node == nullptr || offset >= node->data.size()) return NotFoundAt("flip", path);
  const auto flip = [&](char& byte) { byte = static_cast<char>(byte ^ (1 << bit)); };
  flip(node->data[offset]);
  if (offset < node->durable_data.size()) flip(node->durable_data[offset]);
  return OkStatus();
}

std::map<std::string, std::string> MemoryDisk::Image() const {
  std::map<std::string, std::string> image;
  Walk("", root_, [&](const std::string& path, const Node& node) {
    if (!node.directory) image[path] = node.data;
  });
  return image;
}

std::uint64_t MemoryDisk::Count(Operation operation) const {
  const auto it = counts_.find(operation);
  return it == counts_.end() ? 0 : it->second;
}

void MemoryDisk::Recount() {
  used_ = 0;
  Walk("", root_, [&](const std::string&, const Node& node) { used_ += node.data.size(); });
}

}  // namespace coppice::io
