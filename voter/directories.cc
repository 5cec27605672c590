#include "voter/directories.h"

#include <fmt/format.h>

#include "common/base/coding.h"
#include "common/base/crc32c.h"
#include "common/base/log.h"
#include "common/base/mutant.h"

namespace coppice::voter {
namespace {

constexpr std::uint64_t kMagic = 0x3165636970706f02;  // and the format's version
constexpr std::size_t kHeadSize = 8 + 8 + 8 + 8 + 1 + 2;
constexpr std::size_t kVoterSize = 8 + 8;
constexpr std::size_t kFileBytesMax = 1U << 20;

Status Damaged(const std::string& file) {
  return MakeStatus(
      StatusCode::kDataLoss,
      fmt::format("{} is damaged: restore it from a copy of this data directory", file));
}

}  // namespace

StatusOr<std::optional<Directories>> Directories::Load(io::Disk& disk, const std::string& folder,
                                                       const Owner& owner) {
  const std::string path = FileIn(folder);
  auto file = disk.Open(path, io::Disk::Mode::kMustExist);
  if (file.status().code() == StatusCode::kNotFound) return std::optional<Directories>();
  COPPICE_RETURN_IF_ERROR(file.status());
  std::string bytes;
  COPPICE_RETURN_IF_ERROR((*file)->ReadAt(0, kFileBytesMax, bytes));
  if (bytes.size() < kHeadSize + 4) return Damaged(path);
  const std::string_view body(bytes.data(), bytes.size() - 4);
  WireReader reader(bytes);
  Directories read;
  Owner written;
  std::uint64_t magic = 0;
  std::uint64_t voter = 0;
  std::uint8_t stage = 0;
  std::uint16_t count = 0;
  const bool head = reader.Fixed(magic) && reader.Fixed(written.cluster_id) &&
                    reader.Fixed(voter) && reader.Fixed(read.own_) && reader.Fixed(stage) &&
                    reader.Fixed(count);
  if (!head || magic != kMagic || read.own_ == 0 || stage > 2 ||
      body.size() != kHeadSize + count * kVoterSize ||
      GetLe<std::uint32_t>(bytes.data() + body.size()) != Crc32c(0, body)) {
    return Damaged(path);
  }
  for (std::uint16_t i = 0; i < count; ++i) {
    std::uint64_t other = 0;
    std::uint64_t id = 0;
    if (!reader.Fixed(other) || !reader.Fixed(id)) return Damaged(path);
    read.others_[NodeId(other)] = id;
  }
  if (written.cluster_id != owner.cluster_id || voter != owner.voter.value()) {
    return MakeStatus(
        StatusCode::kFailedPrecondition,
        fmt::format(
            "{} is of node {:x} of cluster {:x}, but this is node {:x} of cluster {:x}: use "
            "the flags that the directory was made with, or another --data-dir",
            path, voter, written.cluster_id, owner.voter.value(), owner.cluster_id));
  }
  read.disk_ = &disk;
  read.folder_ = folder;
  read.owner_ = owner;
  read.stage_ = static_cast<Stage>(stage);
  return std::optional<Directories>(std::move(read));
}

StatusOr<Directories> Directories::Make(io::Disk& disk, const std::string& folder,
                                        const Owner& owner, std::uint64_t id) {
  Directories made;
  made.disk_ = &disk;
  made.folder_ = folder;
  made.owner_ = owner;
  made.own_ = id;
  COPPICE_RETURN_IF_ERROR(made.Save(Stage::kAsking, {}));
  return made;
}

// A first set of this many and the voter itself, and a second one, have more voters in both than
// may lose their disks.
int Directories::Enough(int voters) {
  const int may_fail = (voters - 1) / 2;
  return (voters + may_fail) / 2;
}

Status Directories::SetStage(Stage stage) {
  if (disk_ == nullptr || stage == stage_) return OkStatus();
  return Save(stage, others_);
}

StatusOr<std::uint64_t> Directories::Meet(NodeId voter, std::uint64_t id) {
  if (const auto it = others_.find(voter); it != others_.end()) {
    return COPPICE_MUTANT(kListenToAmnesiac) ? id : it->second;
  }
  std::map<NodeId, std::uint64_t> others = others_;
  others[voter] = id;
  COPPICE_RETURN_IF_ERROR(Save(stage_, others));
  return id;
}

Status Directories::Save(Stage stage, const std::map<NodeId, std::uint64_t>& others) {
  if (in_doubt_) {
    return MakeStatus(StatusCode::kInternal,
                      fmt::format("{} could not be synced before: mend the disk, then start this "
                                  "voter again",
                                  FileIn(folder_)));
  }
  std::string bytes;
  PutLe(bytes, kMagic);
  PutLe(bytes, owner_.cluster_id);
  PutLe(bytes, owner_.voter.value());
  PutLe(bytes, own_);
  PutLe(bytes, static_cast<std::uint8_t>(stage));
  PutLe(bytes, static_cast<std::uint16_t>(others.size()));
  for (const auto& [voter, id] : others) {
    PutLe(bytes, voter.value());
    PutLe(bytes, id);
  }
  PutLe(bytes, Crc32c(0, bytes));
  const std::string path = FileIn(folder_);
  COPPICE_ASSIGN_OR_RETURN(auto file, disk_->Open(path + ".new", io::Disk::Mode::kCreate));
  COPPICE_RETURN_IF_ERROR(file->Truncate(0));  // what a start that was cut short left
  COPPICE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
  in_doubt_ = true;
  COPPICE_RETURN_IF_ERROR(file->Sync());
  COPPICE_RETURN_IF_ERROR(disk_->Rename(path + ".new", path));
  COPPICE_RETURN_IF_ERROR(disk_->SyncDirectory(folder_));
  in_doubt_ = false;
  stage_ = stage;
  others_ = others;
  return OkStatus();
}

void Greet(Directories& directories, io::Connection& connection) {
  const io::Hello& peer = connection.peer();
  if (peer.directory_id == 0) {
    return connection.Close(
        MakeStatus(StatusCode::kInvalidArgument, "a voter without a data directory's id"));
  }
  const auto known = directories.Meet(NodeId(peer.node_id), peer.directory_id);
  if (!known.ok()) {
    COPPICE_LOG(kError, "cannot remember the data directory of voter {:x}: {}", peer.node_id,
                MessageOf(known.status()));
    return connection.Close(known.status());
  }
  std::string payload;
  PutLe(payload, *known);
  io::Frame frame;
  frame.type = io::FrameType::kKnownAs;
  frame.payload = payload;
  connection.Send(frame);
  if (*known == peer.directory_id) return;
  COPPICE_LOG(kWarn,
              "voter {:x} comes with another data directory than it has taken part with: refused",
              peer.node_id);
  connection.Close(MakeStatus(StatusCode::kFailedPrecondition, "another data directory"));
}

std::optional<std::uint64_t> ReadKnownAs(const io::Frame& frame) {
  if (frame.type != io::FrameType::kKnownAs || frame.payload.size() != 8) return std::nullopt;
  return GetLe<std::uint64_t>(frame.payload.data());
}

}  // namespace coppice::voter
