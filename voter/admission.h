#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "voter/cluster.h"
#include "voter/directories.h"

namespace coppice::voter {

// Asks the other voters, until enough of them remember this voter's data directory, to which it may
// belong (Directories::Enough), or one knows the voter by another. Meanwhile it answers those that
// ask the same, and takes no part: what Raft sends is dropped. It goes on asking for as long as it
// takes, and says whom it waits for. Thread: the loop's.
class Admission {
 public:
  using Done = std::function<void(const Status&)>;

  // `directories` and the transport outlive it.
  Admission(io::Loop& loop, io::Transport& transport, Directories& directories,
            const Cluster& cluster, Rng rng);
  ~Admission();
  // `done` runs once, from within a turn: OK, FailedPrecondition if a voter knows this one by
  // another directory, or Internal if the disk failed. Nothing is dialed any more then, and after a
  // refusal nothing is written.
  void Start(Done done);
  // For the transport's accept: connections of all classes. Those that are not for Raft stay open,
  // and get no answer, until this voter takes part.
  io::ConnectionHandler* Accept(const io::Hello& peer);

 private:
  class Asking;
  class Answering;
  class Waiting;

  void Knows(const PeerAddress& peer, std::uint64_t known_as);
  void End(const Status& status);
  void SayWhoIsMissing();

  io::Loop& loop_;
  io::Transport& transport_;
  Directories& directories_;
  Rng rng_;
  std::size_t wanted_ = 0;
  Done done_;
  bool over_ = false;
  bool refused_ = false;
  std::vector<std::unique_ptr<Asking>> asking_;
  std::unique_ptr<Answering> answering_;
  std::unique_ptr<Waiting> waiting_;
  std::vector<NodeId> others_;
  io::Loop::TimerId timer_ = 0;
};

}  // namespace coppice::voter
