#include "learner/identity_file.h"

#include <fmt/format.h>

#include "common/base/coding.h"
#include "common/base/crc32c.h"
#include "common/node/data_dir.h"

namespace coppice::learner {
namespace {

constexpr std::size_t kSize = 8 + 8 + 8 + 4;          // magic, id, cluster id, CRC32C of these
constexpr std::uint64_t kMagic = 0x31656c6f706f4301;  // and the format's version

}  // namespace

StatusOr<Identity> LoadIdentity(io::Disk& disk, const std::string& directory, NodeId fresh_id) {
  const std::string path = directory + "/identity";
  auto file = disk.Open(path, io::Disk::Mode::kMustExist);
  if (!file.ok()) {
    if (file.status().code() != StatusCode::kNotFound) return node::WrongDataDir(file.status());
    return Identity{fresh_id, 0};
  }
  std::string bytes;
  COPPICE_RETURN_IF_ERROR((*file)->ReadAt(0, kSize + 1, bytes));
  if (bytes.size() != kSize || GetLe<std::uint64_t>(bytes.data()) != kMagic ||
      GetLe<std::uint32_t>(bytes.data() + 24) != Crc32c(0, {bytes.data(), 24})) {
    return MakeStatus(StatusCode::kDataLoss,
                      fmt::format("{} is damaged, or not a learner's: remove the data directory to "
                                  "start this learner anew",
                                  path));
  }
  return Identity{NodeId(GetLe<std::uint64_t>(bytes.data() + 8)),
                  GetLe<std::uint64_t>(bytes.data() + 16)};
}

Status SaveIdentity(io::Disk& disk, const std::string& directory, const Identity& identity) {
  std::string bytes;
  PutLe(bytes, kMagic);
  PutLe(bytes, identity.id.value());
  PutLe(bytes, identity.cluster_id);
  PutLe(bytes, Crc32c(0, bytes));
  const std::string path = directory + "/identity";
  COPPICE_ASSIGN_OR_RETURN(auto file, disk.Open(path + ".new", io::Disk::Mode::kCreate));
  COPPICE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
  COPPICE_RETURN_IF_ERROR(file->Sync());
  COPPICE_RETURN_IF_ERROR(disk.Rename(path + ".new", path));
  return disk.SyncDirectory(directory);
}

}  // namespace coppice::learner
