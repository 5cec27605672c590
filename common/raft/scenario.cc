#include "common/raft/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/raft/scenario_print.h"

namespace coppice::raft {
namespace {

std::uint64_t Number(std::istringstream& words) {
  std::uint64_t value = 0;
  COPPICE_CHECK(static_cast<bool>(words >> value), "a number was expected");
  return value;
}

std::vector<NodeId> Ids(const std::string& list) {
  std::vector<NodeId> ids;
  std::istringstream in(list);
  for (std::string id; std::getline(in, id, ',');) ids.emplace_back(std::stoull(id));
  return ids;
}

// "A->B", "to N", "from N": the links they name; 0 stands for any node.
bool Link(std::istringstream& words, std::uint64_t& from, std::uint64_t& to) {
  std::string word;
  if (!(words >> word)) return false;
  from = to = 0;
  if (word == "to") {
    to = Number(words);
  } else if (word == "from") {
    from = Number(words);
  } else {
    from = std::stoull(word);
    to = std::stoull(word.substr(word.find("->") + 2));
  }
  return true;
}

}  // namespace

std::string Scenario::Run(const std::string& line) {
  told_.str("");
  std::istringstream words(line);
  std::string command;
  words >> command;
  Dispatch(command, words);
  return told_.str();
}

void Scenario::Dispatch(const std::string& command, std::istringstream& words) {
  if (command == "cluster") return CreateCluster(words);
  if (command == "deliver") return Deliver(words);
  if (command == "drop") return Drop(words);
  if (command == "status") return PrintStatus();
  const std::uint64_t n = Number(words);
  if (command == "advance") return Advance(static_cast<Micros>(n) * kMillisecond);
  if (command == "add") return Start(n);
  Node& node = nodes_.at(n);
  if (command == "timeout") {
    now_ = std::max(now_, node.core->NextDeadline());
    Step(n, Timer{});
  } else if (command == "slow-disk") {
    node.slow_disk = true;
  } else if (command == "sync" || command == "fast-disk") {
    Sync(n);
    if (command == "fast-disk") node.slow_disk = false;
  } else if (command == "propose") {
    std::vector<std::string> values;
    for (std::string value; words >> value;) values.push_back(value);
    Propose(n, values);
  } else if (command == "fill") {
    Propose(n, std::vector<std::string>(Number(words), "value"));
  } else if (command == "read") {
    Step(n, ReadIndexRequest{Number(words)});
  } else if (command == "transfer") {
    Step(n, TransferLeadership{NodeId(Number(words))});
  } else if (command == "resign") {
    Step(n, ResignLeadership{});
  } else if (command == "gone") {
    Step(n, PeerGone{NodeId(Number(words))});
  } else if (command == "compact") {
    Step(n, LogCompacted{Index(Number(words))});
  } else if (command == "config") {
    Change(n, words);
  } else if (command == "install") {
    Install(n, Number(words));
  } else if (command == "crash") {
    node.core.reset();
    node.unsynced.clear();
  } else if (command == "restart") {
    Start(n);
  } else {
    told_ << "unknown command\n";
  }
}

void Scenario::CreateCluster(std::istringstream& words) {
  nodes_.clear();
  network_.clear();
  configuration_ = {};
  std::uint64_t id = 0;
  const std::uint64_t voters = Number(words);
  while (id < voters) configuration_.voters.emplace_back(++id);
  if (std::string word; words >> word) {
    const std::uint64_t all = voters + Number(words);
    while (id < all) configuration_.learners.emplace_back(++id);
  }
  for (const auto* list : {&configuration_.voters, &configuration_.learners}) {
    for (const NodeId member : *list) {
      nodes_[member.value()].disk.configuration = configuration_;
      Start(member.value());
    }
  }
}

void Scenario::Start(std::uint64_t id) {
  Config config;
  config.id = NodeId(id);
  config.append_bytes_max = 1000;
  Node& node = nodes_[id];
  node.core = std::make_unique<Core>(config, node.disk, Rng(1, id), now_);
  node.role = Role::kFollower;
}

void Scenario::Step(std::uint64_t id, Input input) {
  if (!nodes_.contains(id) || nodes_.at(id).core == nullptr) return;
  Node& node = nodes_.at(id);
  Output out;
  node.core->Step(now_, std::move(input), out);
  Tell(id, out);
  for (const Outbound& sent : out.send_now) {
    network_.push_back({id, sent.to.value(), sent.message});
  }
  const Index applied = out.apply.empty() ? Index(0) : out.apply.back()->index();
  node.unsynced.push_back(std::move(out));
  if (!node.slow_disk || (node.unsynced.size() == 1 && !node.unsynced.front().needs_sync())) {
    Sync(id);
  }
  if (applied != Index(0)) Step(id, Applied{applied});
}

void Scenario::Sync(std::uint64_t id) {
  Node& node = nodes_.at(id);
  EntryPtr last;
  while (!node.unsynced.empty()) {
    const Output out = std::move(node.unsynced.front());
    node.unsynced.pop_front();
    WriteToDisk(node, out);
    if (!out.append.empty()) last = out.append.back();
    for (const Outbound& sent : out.send_after_durable) {
      network_.push_back({id, sent.to.value(), sent.message});
    }
  }
  if (last != nullptr) Step(id, Appended{last->term(), last->index()});
}

void Scenario::WriteToDisk(Node& node, const Output& out) {
  BootState& disk = node.disk;
  if (out.hard_state) disk.hard_state = *out.hard_state;
  for (const EntryPtr& entry : out.append) {
    while (!disk.window.empty() && disk.window.back()->index() >= entry->index()) {
      disk.window.pop_back();
    }
    disk.window.push_back(entry);
    while (!disk.terms.empty() && disk.terms.back().first >= entry->index()) disk.terms.pop_back();
    if (disk.terms.empty() || disk.terms.back().term != entry->term()) {
      disk.terms.push_back({entry->index(), entry->term()});
    }
    disk.last_index = entry->index();
  }
}

void Scenario::Tell(std::uint64_t id, const Output& out) {
  const auto say = [this, id](const std::string& what) { told_ << id << ": " << what << "\n"; };
  Node& node = nodes_.at(id);
  const Status status = node.core->status();
  if (status.role != node.role) {
    say(fmt::format("becomes {} t{}", Describe(status.role), status.term.value()));
  }
  node.role = status.role;
  if (const auto& hard = out.hard_state) {
    say(fmt::format("saves t{} vote {}", hard->term.value(), hard->vote.value()));
  }
  if (!out.append.empty()) say("writes " + Describe(out.append));
  for (const ProposeResult& result : out.proposed) {
    if (const auto* at = std::get_if<Accepted>(&result.outcome)) {
      if (out.proposed.size() <= 4) say(fmt::format("accepts {}", at->index.value()));
    } else if (const auto* other = std::get_if<NotLeader>(&result.outcome)) {
      say(fmt::format("is not leader, ask {}", other->leader.value()));
    } else {
      say("is busy");
    }
  }
  for (const Outbound& sent : out.send_now) {
    say(fmt::format("-> {} {}", sent.to.value(), Describe(sent.message)));
  }
  for (const Outbound& sent : out.send_after_durable) {
    say(fmt::format("-> {} {} (once durable)", sent.to.value(), Describe(sent.message)));
  }
  if (!out.apply.empty()) say("applies " + Describe(out.apply));
  for (const ReadReady& read : out.reads) {
    say(fmt::format("read {} is ready at {}", read.id, read.index.value()));
  }
  for (const ReadRefused& read : out.reads_refused) say(fmt::format("refuses read {}", read.id));
  for (const ReadLog& read : out.read_log) {
    say(fmt::format("reads its log for {}: {} to {}", read.peer.value(), read.from.value(),
                    read.to.value()));
  }
  if (out.fetch_snapshot) {
    say(fmt::format("fetches a snapshot of {} from {}", out.fetch_snapshot->index.value(),
                    out.fetch_snapshot->from.value()));
  }
}

bool Scenario::DeliverFirst(std::uint64_t from, std::uint64_t to) {
  const auto first = std::find_if(network_.begin(), network_.end(), [&](const Waiting& w) {
    return (from == 0 || w.from == from) && (to == 0 || w.to == to);
  });
  if (first == network_.end()) return false;
  Waiting message = std::move(*first);
  network_.erase(first);
  Step(message.to, Received{NodeId(message.from), std::move(message.message)});
  return true;
}

void Scenario::Deliver(std::istringstream& words) {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool named = false;
  while (Link(words, from, to)) {
    named = true;
    const auto waiting = std::count_if(network_.begin(), network_.end(), [&](const Waiting& w) {
      return (from == 0 || w.from == from) && (to == 0 || w.to == to);
    });
    for (auto i = waiting; i > 0; --i) DeliverFirst(from, to);
  }
  int limit = 1000;
  while (!named && DeliverFirst(0, 0)) COPPICE_CHECK(--limit > 0, "messages without end");
}

void Scenario::Drop(std::istringstream& words) {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool named = false;
  while (Link(words, from, to)) {
    named = true;
    std::erase_if(network_, [&](const Waiting& w) {
      return (from == 0 || w.from == from) && (to == 0 || w.to == to);
    });
  }
  if (!named) network_.clear();
}

void Scenario::Advance(Micros by) {
  now_ += by;
  for (auto& [id, node] : nodes_) {
    if (node.core != nullptr && node.core->NextDeadline() <= now_) Step(id, Timer{});
  }
}

void Scenario::Propose(std::uint64_t id, const std::vector<std::string>& values) {
  raft::Propose propose;
  for (const std::string& value : values) {
    propose.proposals.push_back({++token_, RecordKind::kCommand, value, Entry::PayloadCrc(value)});
  }
  Step(id, std::move(propose));
}

void Scenario::Change(std::uint64_t id, std::istringstream& words) {
  ChangeConfig change;
  std::string word;
  words >> word;
  change.configuration.voters = Ids(word);
  if (words >> word && word == "old" && words >> word) {
    change.configuration.voters_old = Ids(word);
  }
  change.token = ++token_;
  Step(id, change);
}

void Scenario::Install(std::uint64_t id, std::uint64_t from) {
  const Core& source = *nodes_.at(from).core;
  const Index index = source.status().commit;
  const Term term = source.TermAt(index);
  Node& node = nodes_.at(id);
  if (!node.core->WantsSnapshot(index, term)) {
    told_ << id << ": has no use for the snapshot\n";
    Step(id, SnapshotFailed{});
    return;
  }
  const HardState hard = node.disk.hard_state;
  node.disk = BootState{hard, source.status().configuration, index, term, index, {}, {}, index};
  Step(id, SnapshotSaved{index, term, node.disk.configuration});
}

void Scenario::PrintStatus() {
  for (const auto& [id, node] : nodes_) {
    if (node.core == nullptr) {
      told_ << id << ": down\n";
      continue;
    }
    const Status s = node.core->status();
    told_ << fmt::format("{}: {} t{} leader {} commit {} last {} voters {}\n", id, Describe(s.role),
                         s.term.value(), s.leader.value(), s.commit.value(), s.last_index.value(),
                         Describe(s.configuration));
  }
}

}  // namespace coppice::raft
