#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/io/disk.h"
#include "common/io/transport.h"

namespace coppice::voter {

// Which data directories the voters of a cluster take part with (docs/adr/0013-lost-disks.md). A
// directory draws its id when it is made. Each voter remembers on disk the first directory that it
// has met each other voter with, and from then on listens to that voter with no other: a voter that
// comes with another one has lost its disk, and with it its votes and what it acknowledged.
//
// A voter takes part only once enough others remember it: of any two sets that are enough, so many
// are in both that one is left even if every other voter that may fail has lost its disk as well.
//
// Kept in the file `directories` (docs/formats.md). Thread: one at a time.
class Directories {
 public:
  enum class Stage : std::uint8_t {
    kAsking = 0,     // it has never taken part
    kAdmitted = 1,   // enough others know it; it has no log yet
    kTakesPart = 2,  // it has a log, and may have voted
  };
  struct Owner {
    std::uint64_t cluster_id = 0;
    NodeId voter;
  };

  // Of a voter that is alone in its cluster: knows nobody, and has no file.
  Directories() = default;
  // What is in `folder`; nothing if there is no file. One that does not read as one: DataLoss; one
  // of another owner: FailedPrecondition. Changes nothing. The disk outlives the result.
  static StatusOr<std::optional<Directories>> Load(io::Disk& disk, const std::string& folder,
                                                   const Owner& owner);
  // A new one in `folder`, durable when it returns. `id` is not 0.
  static StatusOr<Directories> Make(io::Disk& disk, const std::string& folder, const Owner& owner,
                                    std::uint64_t id);
  // How many of the others have to know a voter of a cluster of `voters`, before it takes part.
  static int Enough(int voters);
  static std::string FileIn(const std::string& folder) { return folder + "/directories"; }

  std::uint64_t own() const { return own_; }  // 0: alone
  Stage stage() const { return stage_; }
  Status SetStage(Stage stage);  // durable if OK
  // The directory that `voter` is known by, which is `id` from now on, durably, if it was not
  // known.
  StatusOr<std::uint64_t> Meet(NodeId voter, std::uint64_t id);
  // A sync failed. Nothing is written any more, as another sync might succeed and have written
  // nothing: the process must end, and read what is there when it is started again.
  bool in_doubt() const { return in_doubt_; }

 private:
  Status Save(Stage stage, const std::map<NodeId, std::uint64_t>& others);

  io::Disk* disk_ = nullptr;
  std::string folder_;
  Owner owner_;
  std::uint64_t own_ = 0;
  Stage stage_ = Stage::kAsking;
  bool in_doubt_ = false;
  std::map<NodeId, std::uint64_t> others_;
};

// For the connection of a voter that has dialed this one, before any of its messages counts: tells
// it which directory it is known by (kKnownAs), and closes the connection if that is another one.
void Greet(Directories& directories, io::Connection& connection);
// What Greet says at the other end; nothing if the frame says something else.
std::optional<std::uint64_t> ReadKnownAs(const io::Frame& frame);

}  // namespace coppice::voter
