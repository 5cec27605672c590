#pragma once

#include <deque>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "common/raft/core.h"

namespace coppice::raft {

// Runs the commands of a scenario (testdata/*.txt) on a few cores and tells what they did. Nothing
// moves by itself: messages wait until they are delivered, time until it is advanced. For tests.
//
//   cluster VOTERS [learners L]   nodes 1..VOTERS, then L learners
//   add N                         a new node that knows nothing
//   timeout N                     time goes on to N's deadline, and N is told
//   advance MS                    time goes on; nodes whose deadline has passed are told
//   deliver [A->B | to N]...      the messages waiting on these links, or all until none is left
//   drop [A->B | to N | from N]... loses them; without arguments all
//   slow-disk N; sync N           N's writes wait for `sync N`, or `fast-disk N`
//   propose N VALUE...            one Propose with these values
//   fill N COUNT                  one Propose with COUNT values
//   read N ID                     ReadIndexRequest
//   transfer N TO; resign N; gone N PEER; compact N INDEX; crash N; restart N
//   config N VOTERS [old VOTERS]  ChangeConfig, lists such as 1,2,3
//   install N FROM                what FROM has applied as a snapshot: SnapshotSaved
//   status                        a line per node
class Scenario {
 public:
  // The output of one command line, lines ending in newlines.
  std::string Run(const std::string& line);

 private:
  struct Node {
    std::unique_ptr<Core> core;
    BootState disk;  // what a restart finds
    bool slow_disk = false;
    std::deque<Output> unsynced;
    Role role = Role::kFollower;
  };
  struct Waiting {
    std::uint64_t from;
    std::uint64_t to;
    Message message;
  };

  void Dispatch(const std::string& command, std::istringstream& words);
  void CreateCluster(std::istringstream& words);
  void Start(std::uint64_t id);
  void Step(std::uint64_t id, Input input);
  void Tell(std::uint64_t id, const Output& out);
  void Sync(std::uint64_t id);
  void WriteToDisk(Node& node, const Output& out);
  void Deliver(std::istringstream& words);
  void Drop(std::istringstream& words);
  bool DeliverFirst(std::uint64_t from, std::uint64_t to);  // 0 = any
  void Advance(Micros by);
  void Propose(std::uint64_t id, const std::vector<std::string>& values);
  void Change(std::uint64_t id, std::istringstream& words);
  void Install(std::uint64_t id, std::uint64_t from);
  void PrintStatus();

  std::map<std::uint64_t, Node> nodes_;
  Configuration configuration_;
  std::deque<Waiting> network_;
  Time now_ = kSecond;
  std::uint64_t token_ = 0;
  std::ostringstream told_;
};

}  // namespace coppice::raft
