#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/io/disk.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/node/host.h"
#include "voter/admission.h"
#include "voter/cluster.h"
#include "voter/directories.h"
#include "voter/options.h"

namespace coppice::voter {

// What precedes Voter::Open where a data directory has never taken part (Directories): makes it,
// listens on the peer addresses, and finds out from the other voters whether this voter has taken
// part with another one. Then what this start made on disk is removed. Thread: the loop's.
class FirstStart {
 public:
  // False: the directory was admitted, or the voter is alone, and Voter::Open may follow. A
  // directory that cannot be this voter's is an error. Changes nothing.
  static StatusOr<bool> IsDue(const VoterOptions& options, io::Disk& disk);

  // `disk`, `host` and `loop` outlive it.
  FirstStart(const VoterOptions& options, node::Host& host, io::Loop& loop, io::Disk& disk);
  ~FirstStart();
  // `done` runs once, from within a turn or from within Start: OK, and Voter::Open may follow once
  // this has died; or why the voter must not start.
  void Start(Admission::Done done);

 private:
  Status Open();
  void Finish(const Status& status);
  void RemoveWhatItMade();

  const VoterOptions options_;
  node::Host& host_;
  io::Loop& loop_;
  io::Disk& disk_;
  const std::string folder_;
  std::vector<std::string> made_;  // folders, the innermost first
  std::unique_ptr<io::File> lock_;
  std::optional<Directories> directories_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<io::Transport> transport_;
  std::unique_ptr<io::Listener> listener_;
  Admission::Done done_;
};

// Does so, if it is due, on a loop of its own: blocks, for as long as it takes. Cancelled if a
// signal asks the process to stop meanwhile.
Status PassFirstStart(const VoterOptions& options, node::Host& host, io::Disk& disk);

}  // namespace coppice::voter
