// Client streams over the whole watch path: session, mux, wire, hub. Checks what a client sees.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/api/watch_session.h"
#include "common/base/coding.h"
#include "common/base/rng.h"
#include "common/mvcc/testing/watch_model.h"
#include "proxy/watch_world.h"

namespace coppice::proxy {
namespace {

using mvcc::ModelEvent;

std::string CreateBytes(const api::WatchCreate& create, const std::string& range_end) {
  std::string body;
  PutBytesField(body, 1, create.range.begin);
  PutBytesField(body, 2, range_end);
  PutIntField(body, 3, static_cast<std::uint64_t>(create.start));
  PutIntField(body, 4, create.progress_notify ? 1 : 0);
  std::string filters;
  if (create.filters.no_put) filters.push_back(0);
  if (create.filters.no_delete) filters.push_back(1);
  PutBytesField(body, 5, filters);
  PutIntField(body, 6, create.prev_kv ? 1 : 0);
  PutIntField(body, 7, static_cast<std::uint64_t>(create.watch_id));
  PutIntField(body, 8, create.fragment ? 1 : 0);
  std::string out;
  PutBytesField(out, 1, body);
  return out;
}

// A client: checks each message as it comes.
class Client final : public api::WatchOut {
 public:
  Client(World& world, std::uint64_t seed)
      : world_(world),
        rng_(seed, 9),
        session_({.response_bytes_max = 150,
                  .unsent_bytes_max = 600,
                  .progress_interval = 300 * kMillisecond,
                  .seed = seed},
                 world.mux, header_, *this, world.now) {}

  void Step() {
    switch (rng_.Below(6)) {
      case 0:
        if (watches_.size() < 8) Create();
        break;
      case 1:
        if (rng_.Chance(0.1)) Cancel();
        break;
      case 2:
        if (rng_.Chance(0.3)) session_.OnMessage(world_.now, std::string("\x1a\0", 2));
        break;
      case 3:
        Admit();
        break;
      default:
        Read();
    }
    session_.Poll(world_.now);
  }
  void Settle() {
    Admit();
    healed_ = true;
    unsent_ = 0;
    session_.OnDrained(world_.now);
    session_.Poll(world_.now);
  }
  bool Done() const {
    for (const auto& [id, w] : watches_) {
      if (!w.canceled && (!w.created || w.Through() < Target(w))) return false;
    }
    return true;
  }
  void CheckFinal() {
    for (const auto& [id, w] : watches_) {
      if (!w.canceled && w.created) Check(w, world_.model.revision());
    }
  }
  int progress_seen = 0;
  int fragments_seen = 0;

 private:
  struct Watch {
    mvcc::WatchSpec spec{};
    Revision start = 0;
    Revision admitted_at = 0;
    bool created = false;
    bool canceled = false;
    Revision partial = 0;  // the revision of which fragments are missing
    std::vector<ModelEvent> events{};
    Revision Through() const { return events.empty() ? 0 : events.back().revision; }
  };
  struct Message {
    Revision header = 0;
    std::int64_t id = 0;
    bool created = false;
    bool canceled = false;
    bool fragment = false;
    Revision compact = 0;
    std::vector<ModelEvent> events{};
  };

  Revision Target(const Watch& w) const {
    const auto all = world_.model.Expected(w.spec, w.start, world_.model.revision());
    return all.empty() ? 0 : all.back().revision;
  }
  void Create() {
    api::WatchCreate create;
    const std::string end = rng_.Chance(0.5) ? "" : "d";
    create.range =
        mvcc::KeyRange::FromWire(std::string(1, static_cast<char>('a' + rng_.Below(3))), end);
    create.watch_id = ++last_id_;
    create.prev_kv = rng_.Chance(0.3);
    create.fragment = rng_.Chance(0.5);
    create.progress_notify = rng_.Chance(0.5);
    create.filters = {rng_.Chance(0.1), rng_.Chance(0.2)};
    create.start = rng_.Chance(0.5) ? 0 : rng_.Between(1, world_.model.revision() + 2);
    Watch& w = watches_[create.watch_id];
    w.spec = {.range = create.range, .filters = create.filters, .prev_kv = create.prev_kv};
    w.start = create.start;
    session_.OnMessage(world_.now, CreateBytes(create, end));
    for (auto& admission : session_.TakeAdmissions()) admissions_.push_back(admission.ticket);
  }
  void Admit() {
    for (const std::uint64_t ticket : std::exchange(admissions_, {})) {
      const bool round = rng_.Chance(0.5);
      session_.OnAdmitted(world_.now, ticket, OkStatus(), round ? world_.model.revision() : 0);
    }
  }
  void Cancel() {
    std::string body;
    PutIntField(body, 1, 1 + rng_.Below(static_cast<std::uint64_t>(last_id_) + 1));
    std::string message;
    PutBytesField(message, 2, body);
    session_.OnMessage(world_.now, message);
  }
  void Read() {
    unsent_ -= std::min(unsent_, static_cast<std::size_t>(rng_.Below(800)));
    if (unsent_ < 200) session_.OnDrained(world_.now);
  }

  void Write(std::span<const std::string_view> pieces) override {
    std::string bytes;
    for (const std::string_view piece : pieces) bytes.append(piece);
    unsent_ += healed_ ? 0 : bytes.size();
    const Message m = Decode(bytes);
    EXPECT_GE(m.header, header_seen_) << "headers never go back";
    header_seen_ = m.header;
    fragments_seen += m.fragment ? 1 : 0;
    if (m.id == -1) {
      OnProgressAll(m);
      return;
    }
    ASSERT_TRUE(watches_.contains(m.id));
    OnWatch(watches_.at(m.id), m);
  }
  std::size_t unsent_bytes() const override { return unsent_; }
  void WantPoll() override {}

  static Message Decode(std::string_view bytes) {
    Message m;
    WireReader in(bytes);
    while (!in.done()) {
      std::uint32_t field = 0;
      WireType type{};
      std::uint64_t number = 0;
      std::string_view view;
      EXPECT_TRUE(in.Tag(field, type));
      EXPECT_TRUE(type == WireType::kVarint ? in.Varint(number) : in.Bytes(view));
      if (field == 1) {
        WireReader reader(view);
        while (reader.Tag(field, type) && reader.Varint(number)) {
          if (field == 3) m.header = static_cast<Revision>(number);
        }
        continue;
      }
      if (field == 2) m.id = static_cast<std::int64_t>(number);
      if (field == 3) m.created = number != 0;
      if (field == 4) m.canceled = number != 0;
      if (field == 5) m.compact = static_cast<Revision>(number);
      if (field == 7) m.fragment = number != 0;
      if (field == 11) m.events.push_back(mvcc::DecodeEvent(view));
    }
    return m;
  }

  void OnWatch(Watch& w, const Message& m) {
    EXPECT_FALSE(w.canceled) << "nothing after canceled";
    if (m.created) {
      w.created = true;
      if (w.start == 0) w.start = m.header + 1;
      return;
    }
    EXPECT_TRUE(w.created);
    if (m.canceled) {
      w.canceled = true;
      EXPECT_LE(m.compact, world_.compact);
      return;
    }
    if (m.events.empty()) {
      ++progress_seen;
      Check(w, m.header);
      return;
    }
    const Revision revision = m.events.front().revision;
    EXPECT_GE(m.header, revision);
    if (w.partial == 0) {
      EXPECT_GT(revision, w.Through()) << "a revision comes once, whole";
    } else {
      EXPECT_EQ(revision, w.partial);
    }
    w.partial = m.fragment ? revision : 0;
    for (const ModelEvent& event : m.events) {
      EXPECT_EQ(event.revision, revision);
      w.events.push_back(event);
    }
  }
  void OnProgressAll(const Message& m) {
    EXPECT_FALSE(m.created);
    ++progress_seen;
    for (const auto& [id, w] : watches_) {
      if (w.created && !w.canceled) Check(w, m.header);
    }
  }
  // Everything up to `to` has come, in order, and nothing else.
  void Check(const Watch& w, Revision to) {
    EXPECT_GE(to + 1, w.start) << "nothing before a future start";
    EXPECT_EQ(w.events, world_.model.Expected(w.spec, w.start, std::max(to, w.Through())));
  }

  World& world_;
  Rng rng_;
  api::WatchHeader header_{7, 8};
  std::map<std::int64_t, Watch> watches_;
  std::vector<std::uint64_t> admissions_;
  std::int64_t last_id_ = 0;
  Revision header_seen_ = 0;
  std::size_t unsent_ = 0;
  bool healed_ = false;        // takes everything at once
  api::WatchSession session_;  // last: its end may still write
};

class RandomStreams {
 public:
  explicit RandomStreams(std::uint64_t seed)
      : rng_(seed),
        world_(3,
               {.ring_bytes = 1000, .rings_bytes = 3000, .credit = 200, .cohort_revisions = 10}) {
    world_.scatter = seed << 32;
    for (std::uint64_t i = 0; i < 4; ++i) {
      clients_.push_back(std::make_unique<Client>(world_, seed * 10 + i));
    }
  }
  ~RandomStreams() { clients_.clear(); }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) Step();
    for (int round = 0; round < 100; ++round) {
      if (world_.links.empty()) world_.Connect(0);
      world_.mux.OnBackendUp(world_.now);
      bool done = true;
      for (auto& client : clients_) {
        client->Settle();
        done = done && client->Done();
      }
      world_.Settle();
      if (done) break;
    }
    for (auto& client : clients_) {
      EXPECT_TRUE(client->Done()) << "reaches the final revision";
      client->CheckFinal();
      progress_seen += client->progress_seen;
      fragments_seen += client->fragments_seen;
    }
  }
  int progress_seen = 0;
  int fragments_seen = 0;

 private:
  void Step() {
    world_.now += static_cast<Micros>(rng_.Below(10'000));
    const std::uint64_t pick = rng_.Below(100);
    if (pick < 15) {
      Commit();
    } else if (pick < 45) {
      Frames();
    } else if (pick < 60) {
      Backend& backend = *world_.backends[rng_.Below(world_.backends.size())];
      world_.Apply(backend, backend.hub.revision() + rng_.Between(1, 6));
      world_.AnswerHistory(backend, 1 + rng_.Below(5));
    } else if (pick < 62) {
      if (!world_.links.empty() && rng_.Chance(0.5)) {
        world_.Cut(AnyLink());
      } else {
        world_.Connect(rng_.Below(world_.backends.size()));
        world_.mux.OnBackendUp(world_.now);
      }
    } else if (pick < 63 && rng_.Chance(0.1)) {
      world_.compact = rng_.Between(world_.compact, world_.model.revision());
    } else {
      clients_[rng_.Below(clients_.size())]->Step();
      world_.mux.Poll(world_.now);
    }
  }
  ConnectionId AnyLink() {
    auto it = world_.links.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng_.Below(world_.links.size())));
    return it->first;
  }
  void Frames() {
    if (world_.links.empty()) return;
    const ConnectionId id = AnyLink();
    for (std::uint64_t n = rng_.Below(8); n > 0; --n) world_.ServerTurn(*world_.links.at(id));
    for (std::uint64_t n = rng_.Below(20); n > 0; --n) world_.ProxyFrame(id);
    world_.mux.Poll(world_.now);
  }
  void Commit() {
    std::vector<WatchModel::Write> writes;
    std::set<std::string> keys;
    for (std::uint64_t n = 1 + rng_.Below(4); n > 0; --n) {
      std::string key(1, static_cast<char>('a' + rng_.Below(4)));
      if (!keys.insert(key).second) continue;
      std::optional<std::string> value = std::string(40, 'v') + std::to_string(++values_);
      if (rng_.Chance(0.3)) value = std::nullopt;
      writes.push_back({std::move(key), std::move(value)});
    }
    world_.model.Commit(writes);
  }

  Rng rng_;
  World world_;
  std::vector<std::unique_ptr<Client>> clients_;
  int values_ = 0;
};

TEST(WatchStreamRandom, ClientsSeeTheModelThroughEverything) {
  int progress = 0;
  int fragments = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    RandomStreams run(seed);
    run.Run(2500);
    if (testing::Test::HasFailure()) return;
    progress += run.progress_seen;
    fragments += run.fragments_seen;
  }
  EXPECT_GT(progress, 100);
  EXPECT_GT(fragments, 100);
}

}  // namespace
}  // namespace coppice::proxy
