// The log's files: a log is written, crashes, and is damaged on its disk as the input says.
// Whatever the files hold, opening them either refuses and changes nothing, or gives contiguous
// entries that the next opening gives too, and appending goes on. A crash loses nothing that was
// synced; and while no record was forged, only entries that were appended come back.

#include "common/wal/wal.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/io/memory_disk.h"
#include "common/wal/format.h"
#include "fuzz/input.h"
#include "fuzz/target.h"

namespace coppice::fuzz {
namespace {

using Image = std::map<std::string, std::string>;

constexpr int kStepsMax = 60;
constexpr std::size_t kPayloadMax = 3000;

enum class Step : std::uint8_t {
  kAppend,
  kOverwrite,
  kSync,
  kReopen,
  kCrash,
  kFlipBit,
  kWrite,
  kForge,
  kCut,
  kZeroSector,
  kRemove,
  kRename,
  kCount,
};

class World {
 public:
  explicit World(Input& input) : input_(input) {
    const std::uint8_t flags = input_.Byte();
    options_.segment_bytes = (flags & 1) != 0 ? 4096 : 1536;
    options_.first_zeros_bytes = (flags & 2) != 0 ? 1024 : 0;
    options_.zeros_step_bytes = 1536;
    options_.cluster_id = 0xc1;
    options_.node_id = 0x11;
    COPPICE_CHECK(Open().ok(), "an empty directory is an empty log");
  }

  void Run() {
    for (int steps = 0; steps < kStepsMax && !input_.done() && wal_ != nullptr; ++steps) {
      DoStep(static_cast<Step>(input_.Byte() % static_cast<int>(Step::kCount)));
    }
    if (wal_ != nullptr) Reopen();
  }

 private:
  void DoStep(Step step) {
    switch (step) {
      case Step::kAppend:
        return Append(wal_->last_index() + 1);
      case Step::kOverwrite:
        return Append(Index(1 + input_.Byte() % (wal_->last_index().value() + 1)));
      case Step::kSync:
        if (wal_->Sync().ok() && !damaged_) synced_ = records_;
        return;
      case Step::kReopen:
        return Reopen();
      case Step::kCrash:
        return Crash();
      default:
        return Damage(step);
    }
  }

  void Append(Index first) {
    std::vector<EntryPtr> entries;
    for (std::size_t n = input_.Byte() % 4; n > 0; --n, ++first) {
      const std::size_t size = input_.Below(kPayloadMax);
      std::string payload(input_.Bytes(size % 7));
      payload.resize(size, input_.Flag() ? '\0' : 'v');
      const auto kind = static_cast<RecordKind>(1 + input_.Byte() % 5);
      entries.push_back(Entry::Make(Term(1 + input_.Byte()), first, kind, payload));
    }
    std::optional<wal::HardState> state;
    if (input_.Flag()) {
      state = wal::HardState{Term(input_.Byte()), NodeId(input_.Byte()), Index(input_.Byte())};
    }
    COPPICE_CHECK(wal_->Append(entries, state).ok(), "what is contiguous is taken");
    for (const EntryPtr& entry : entries) {
      // An overwritten index forgets what followed it.
      records_.resize(std::min<std::size_t>(records_.size(), entry->index().value() - 1));
      synced_.resize(std::min(synced_.size(), records_.size()));
      records_.emplace_back(entry->record());
      appended_[entry->index().value()].emplace_back(entry->record());
    }
    COPPICE_CHECK(wal_->last_index().value() == records_.size());
  }

  void Crash() {
    wal_.reset();
    Rng rng(input_.Byte());
    disk_.Crash(rng);
    const bool good = Open().ok();
    if (!damaged_) {
      COPPICE_CHECK(good, "a crash alone damages nothing");
      COPPICE_CHECK(replayed_.size() >= synced_.size(), "what was synced is there");
      COPPICE_CHECK(std::equal(synced_.begin(), synced_.end(), replayed_.begin()));
      CheckReplayed();
    }
    records_ = synced_ = replayed_;
  }

  // Changes a file as a disk, a person or a stranger might. The log is closed meanwhile.
  void Damage(Step step) {
    wal_.reset();
    damaged_ = true;
    Image files = disk_.Image();
    std::erase_if(files, [](const auto& file) { return !file.first.ends_with(".wal"); });
    if (files.empty()) return;
    const auto& [path, bytes] = *std::next(files.begin(), input_.Byte() % files.size());
    const std::uint64_t offset = bytes.empty() ? 0 : input_.Number<std::uint32_t>() % bytes.size();
    switch (step) {
      case Step::kFlipBit:
        (void)disk_.FlipBit(path, offset, input_.Byte() % 8);
        break;
      case Step::kWrite:
        forged_ = true;  // a lucky one could be a record
        Write(path, offset, std::string(input_.Chunk()));
        break;
      case Step::kForge:
        forged_ = true;
        Write(path, RecordEnd(bytes, input_.Byte()), Forged());
        break;
      case Step::kCut:
        Cut(path, offset);
        break;
      case Step::kZeroSector:
        Write(path, offset / wal::kSectorBytes * wal::kSectorBytes,
              std::string(wal::kSectorBytes, '\0'));
        break;
      case Step::kRemove:
        (void)disk_.Remove(path);
        break;
      default:
        (void)disk_.Rename(path, "/wal/" + NewName());
        break;
    }
    Reopen();
  }

  std::string NewName() {
    if (input_.Flag()) return std::string(wal::kLockName) + ".wal";
    return wal::SegmentFileName(input_.Byte() % 5, Index(input_.Byte() % 5));
  }

  // Where the n-th record of a segment begins, or its records end.
  static std::uint64_t RecordEnd(std::string_view bytes, std::size_t n) {
    std::uint64_t offset = 0;
    RecordHeader header;
    for (; n > 0 && DecodeRecordHeader(bytes.substr(offset), header) == RecordError::kOk; --n) {
      if (bytes.size() - offset < kRecordHeaderSize + header.payload_size) break;
      offset += kRecordHeaderSize + header.payload_size;
    }
    return offset;
  }

  // A record with good checksums and whatever the input wants in it.
  std::string Forged() {
    const std::string payload(input_.Chunk());
    RecordHeader header;
    header.payload_size = static_cast<std::uint32_t>(payload.size());
    if (input_.Flag()) header.payload_size = input_.Number<std::uint32_t>();
    header.payload_crc = Crc32c(0, payload);
    header.term = Term(input_.Number<std::uint64_t>());
    header.index = Index(input_.Flag() ? input_.Number<std::uint64_t>() : input_.Byte());
    header.kind = static_cast<RecordKind>(input_.Byte());
    header.version = input_.Byte();
    std::string out(kRecordHeaderSize, '\0');
    EncodeRecordHeader(header, out.data());
    return out + payload;
  }

  void Write(const std::string& path, std::uint64_t offset, const std::string& bytes) {
    const auto file = disk_.Open(path, io::Disk::Mode::kMustExist);
    COPPICE_CHECK(file.ok() && (*file)->WriteAt(offset, bytes).ok() && (*file)->Sync().ok());
  }

  void Cut(const std::string& path, std::uint64_t size) {
    const auto file = disk_.Open(path, io::Disk::Mode::kMustExist);
    COPPICE_CHECK(file.ok() && (*file)->Truncate(size).ok() && (*file)->Sync().ok());
  }

  void Reopen() {
    wal_.reset();
    const Image before = disk_.Image();
    const Status status = Open();
    if (!status.ok()) {
      COPPICE_CHECK(damaged_, "a log that nobody touched opens");
      COPPICE_CHECK(status.code() == StatusCode::kDataLoss ||
                    status.code() == StatusCode::kFailedPrecondition);
      COPPICE_CHECK(disk_.Image() == before, "what is refused is not changed");
      return;
    }
    const std::vector<std::string> first = replayed_;
    if (!damaged_) COPPICE_CHECK(first == records_);
    CheckReplayed();
    CheckRead();
    wal_.reset();
    COPPICE_CHECK(Open().ok() && replayed_ == first && recovered_.torn_bytes_cut == 0,
                  "a second opening finds what the first one left");
    records_ = first;
    if (damaged_) synced_ = first;
  }

  void CheckReplayed() {
    COPPICE_CHECK(recovered_.first_index == Index(1));
    COPPICE_CHECK(recovered_.last_index.value() == replayed_.size());
    if (forged_) return;
    for (std::size_t i = 0; i < replayed_.size(); ++i) {
      const auto& known = appended_[i + 1];
      COPPICE_CHECK(std::find(known.begin(), known.end(), replayed_[i]) != known.end(),
                    "only what was appended comes back");
    }
  }

  void CheckRead() {
    std::vector<EntryPtr> read;
    if (replayed_.empty()) return;
    const Index from(1 + input_.Byte() % replayed_.size());
    COPPICE_CHECK(wal_->Read(from, wal_->last_index(), 1U << 20, read).ok());
    COPPICE_CHECK(!read.empty());
    for (std::size_t i = 0; i < read.size(); ++i) {
      COPPICE_CHECK(read[i]->record() == replayed_[from.value() - 1 + i]);
    }
  }

  Status Open() {
    replayed_.clear();
    recovered_ = wal::Recovered();
    auto opened = wal::Wal::Open(
        disk_, "/wal", options_,
        [this](const EntryPtr& entry) {
          COPPICE_CHECK(entry->index().value() == replayed_.size() + 1, "in order");
          replayed_.emplace_back(entry->record());
        },
        recovered_);
    if (!opened.ok()) return opened.status();
    wal_ = std::move(opened).value();
    return OkStatus();
  }

  Input& input_;
  io::MemoryDisk disk_;
  wal::WalOptions options_;
  wal::Recovered recovered_;
  std::vector<std::string> replayed_;
  std::unique_ptr<wal::Wal> wal_;
  bool damaged_ = false;
  bool forged_ = false;
  std::vector<std::string> records_;  // by index - 1, as they should be
  std::vector<std::string> synced_;   // of those
  std::map<std::uint64_t, std::vector<std::string>> appended_;
};

void Run(std::string_view bytes) {
  Input input(bytes);
  World(input).Run();
}

std::string Appended(int count, std::uint16_t size) {
  std::string out(1, static_cast<char>(Step::kAppend));
  out.push_back(static_cast<char>(count));
  for (int i = 0; i < count; ++i) {
    PutLe(out, size);
    out.append(std::string("payload").substr(0, size % 7));
    out.append("\0\1\2", 3);  // fill, kind, term
  }
  return out.append("\1\3\2\1");  // hard state
}

std::string Then(Step step, std::string_view arguments) {
  return std::string(1, static_cast<char>(step)).append(arguments);
}

std::vector<std::string> Seeds() {
  const std::string sync = Then(Step::kSync, "");
  const std::string log = Appended(3, 100) + sync + Appended(2, 700) + Appended(1, 1300);
  std::string forged = Then(Step::kForge, std::string("\0\x20", 2));
  PutChunk(forged, "forged");
  forged.append("\0\1\0\0\0\0\0\0\0\0\5\2\1", 13);  // size, term, index 5, kind, version
  std::vector<std::string> seeds;
  for (const char flags : {0, 1, 2, 3}) {
    const std::string head(1, flags);
    seeds.push_back(head + log + Then(Step::kReopen, "") + Appended(3, 40));
    seeds.push_back(head + log + Then(Step::kCrash, "\7") + Appended(3, 40));
    seeds.push_back(head + log + Then(Step::kOverwrite, std::string("\1\1\x10\0pa\0\1\2", 9)) +
                    Then(Step::kCrash, "\1"));
    seeds.push_back(head + log + forged);
    for (const Step step : {Step::kFlipBit, Step::kCut, Step::kZeroSector, Step::kRemove}) {
      std::string& seed = seeds.emplace_back(head);
      seed.append(log).append(Then(step, std::string("\1\x90\2\0\0\3", 6)));
    }
    seeds.push_back(head + log + Then(Step::kRename, std::string("\0\0\0\0\0\0\2\1", 8)));
  }
  return seeds;
}

}  // namespace

Target WalTarget() {
  return {"wal", Run, Seeds};
}

}  // namespace coppice::fuzz
