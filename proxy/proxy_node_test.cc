#include "proxy/proxy_node.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>

#include "common/mvcc/store.h"
#include "etcd/rpc.pb.h"
#include "proxy/fake_cluster.h"

namespace coppice::proxy {
namespace {

struct Outcome {
  int answers = 0;
  std::string body;
  Status status;
  std::uint64_t total = 0;
  std::unique_ptr<api::PartSource> source;  // of an answer in parts

  // Takes what has come; true once it is all.
  bool Drain() {
    auto next = api::PartSource::Next::kMore;
    while (next == api::PartSource::Next::kMore) next = source->Take(body);
    return next == api::PartSource::Next::kEnd;
  }
};

class NotingReplier final : public api::Replier {
 public:
  explicit NotingReplier(Outcome& outcome) : outcome_(outcome) {}
  void Ok(std::span<const std::string_view> pieces, const api::Served& /*served*/) override {
    ++outcome_.answers;
    for (const std::string_view piece : pieces) outcome_.body += piece;
  }
  void Fail(const Status& status) override {
    ++outcome_.answers;
    outcome_.status = status;
  }
  void FailNotProposed(const Status& status) override { Fail(status); }
  void Parts(std::uint64_t total, std::unique_ptr<api::PartSource> source) override {
    ++outcome_.answers;
    outcome_.total = total;
    outcome_.source = std::move(source);
    outcome_.source->SetReady([] {});
  }

 private:
  Outcome& outcome_;
};

// Two voters (the first leads) and two learners, real connections on loopback, all on this thread.
class ProxyNodeTest : public testing::Test {
 protected:
  ProxyNodeTest()
      : leader(loop, 1, replica::NodeRole::kVoter),
        follower(loop, 2, replica::NodeRole::kVoter),
        learner(loop, 8, replica::NodeRole::kLearner),
        other_learner(loop, 9, replica::NodeRole::kLearner) {
    for (FakeBackend* backend : All()) backend->state.leader = NodeId(1);
    io::TransportOptions options;
    options.hello.node_id = 100;
    options.hello.boot_nonce = 100;
    options.hello.role = io::ProcessRole::kProxy;
    transport = std::make_unique<io::AsioTransport>(loop, options,
                                                    [](const io::Hello&) { return nullptr; });
  }
  ~ProxyNodeTest() override {
    proxy.reset();
    for (FakeBackend* backend : All()) backend->Die();
    for (FakeBackend& stranger : strangers) stranger.Die();
    Run([] { return false; }, 20 * kMillisecond);
  }

  std::vector<FakeBackend*> All() { return {&leader, &follower, &learner, &other_learner}; }

  void Start(const std::vector<FakeBackend*>& upstreams) {
    ProxyNode::Options options;
    options.pool.replaced_after = 300 * kMillisecond;
    for (FakeBackend* backend : upstreams) {
      options.pool.upstreams.push_back({"127.0.0.1", backend->port});
    }
    proxy = std::make_unique<ProxyNode>(loop, *transport, options);
    proxy->SetOnReplaced([this](std::uint64_t cluster_id) { replaced_by = cluster_id; });
    loop.Post([this] { proxy->Start(); });
    Until([&] { return proxy->pool().router().usable() == upstreams.size(); });
  }
  // Runs the loop until `done`, at most for `limit`; says whether it was.
  bool Run(std::function<bool()> done, Micros limit = 10 * kSecond) {
    const Time end = io::SystemClock().Now() + limit;
    bool result = false;
    std::function<void()> look = [&] {
      result = done();
      if (result || io::SystemClock().Now() >= end) return loop.Stop();
      loop.RunAt(loop.Refresh() + kMillisecond, look);
    };
    loop.Post(look);
    loop.Run();
    return result;
  }
  // A node of another cluster takes the backend's place.
  void Replace(FakeBackend& backend, std::uint64_t cluster_id) {
    backend.Die();
    strangers.emplace_back(loop, 10 + strangers.size(), replica::NodeRole::kVoter, cluster_id,
                           backend.port);
  }
  void Until(std::function<bool()> done) { ASSERT_TRUE(Run(std::move(done))); }

  Outcome& Ask(api::Method method, std::string bytes, Micros timeout = 10 * kSecond,
               Consistency consistency = {}) {
    Outcome& outcome = outcomes.emplace_back();
    requests.push_back(std::move(bytes));
    api::Request request;
    request.method = method;
    request.bytes = requests.back();
    request.consistency = consistency;
    request.deadline = io::SystemClock().Now() + timeout;
    loop.Post([this, request, &outcome] {
      proxy->Serve(request, std::make_unique<NotingReplier>(outcome));
    });
    return outcome;
  }
  Outcome& AskAndWait(api::Method method, std::string bytes) {
    Outcome& outcome = Ask(method, std::move(bytes));
    EXPECT_TRUE(Run([&] { return outcome.answers > 0; }));
    return outcome;
  }
  FakeBackend& Holder() { return learner.held() > 0 ? learner : other_learner; }
  FakeBackend& NotHolder() { return learner.held() > 0 ? other_learner : learner; }

  io::Loop loop{"test"};
  FakeBackend leader;
  FakeBackend follower;
  FakeBackend learner;
  FakeBackend other_learner;
  std::deque<FakeBackend> strangers;
  std::unique_ptr<io::AsioTransport> transport;
  std::deque<Outcome> outcomes;
  std::deque<std::string> requests;
  std::unique_ptr<ProxyNode> proxy;
  std::uint64_t replaced_by = 0;  // the cluster that has taken the place of the proxy's; 0: none
};

TEST_F(ProxyNodeTest, ReadsGoToLearnersAndWritesToTheLeader) {
  Start(All());
  const std::string body = AskAndWait(api::Method::kRange, "\n\1k").body;
  EXPECT_TRUE(body == "from 8" || body == "from 9") << body;
  EXPECT_EQ(AskAndWait(api::Method::kPut, "put").body, "from 1");
  EXPECT_EQ(AskAndWait(api::Method::kAlarm, "").body, "from 1");
}

TEST_F(ProxyNodeTest, ALargeAnswerPassesInPartsAtItsClientsPace) {
  Start({&leader, &learner});
  learner.reply.assign(3U << 20, 'x');
  Outcome& outcome = Ask(api::Method::kRange, "large");
  Until([&] { return outcome.answers == 1; });
  EXPECT_EQ(outcome.total, learner.reply.size());
  EXPECT_FALSE(outcome.Drain());  // no more than the credit is here
  EXPECT_LE(outcome.body.size(), io::kStreamCreditBytes);
  // Another request of the same connection is not held back.
  learner.reply = "small";
  EXPECT_EQ(AskAndWait(api::Method::kRange, "other").body, "small");
  Until([&] { return outcome.Drain(); });
  EXPECT_EQ(outcome.body.size(), outcome.total);
}

TEST_F(ProxyNodeTest, ALargeAnswerThatIsSharedGoesWholeToEach) {
  Start({&leader, &learner});
  learner.reply.assign(1U << 20, 'x');
  for (int i = 0; i < 3; ++i) Ask(api::Method::kRange, "same");
  Until([&] { return outcomes.back().answers == 1; });
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.body, learner.reply);
  EXPECT_EQ(learner.asked.size(), 1U);
}

TEST_F(ProxyNodeTest, AnAnswerTooLargeToShareIsAskedForByEach) {
  Start({&leader, &learner});
  learner.reply.assign(9U << 20, 'x');
  for (int i = 0; i < 2; ++i) Ask(api::Method::kRange, "same");
  Until([&] { return outcomes[0].answers == 1 && outcomes[1].answers == 1; });
  EXPECT_EQ(learner.asked.size(), 2U);
  for (Outcome& outcome : outcomes) {
    Until([&] { return outcome.Drain(); });
    EXPECT_EQ(outcome.body, learner.reply);
  }
}

TEST_F(ProxyNodeTest, ALossInTheMiddleOfAnAnswerIsToldToItsClient) {
  Start({&leader, &learner});
  learner.reply.assign(3U << 20, 'x');
  Outcome& outcome = Ask(api::Method::kRange, "large");
  Until([&] { return outcome.answers == 1; });
  learner.Die();
  std::string rest;
  Until([&] { return outcome.source->Take(rest) == api::PartSource::Next::kLost; });
  EXPECT_EQ(outcome.source->status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(proxy->waiting(), 0U);
}

TEST_F(ProxyNodeTest, IdenticalReadsOfATurnAreOneRequestUpstream) {
  Start({&leader, &learner});
  for (int i = 0; i < 10; ++i) Ask(api::Method::kRange, "same");
  Until([&] {
    return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.answers == 1; });
  });
  EXPECT_EQ(learner.asked.size(), 1U);
}

TEST_F(ProxyNodeTest, AReadOfALearnerThatDiesIsAnsweredByAnother) {
  learner.answer = other_learner.answer = FakeBackend::Answer::kHold;
  Start(All());
  const Outcome& outcome = Ask(api::Method::kRange, "k");
  Until([&] { return learner.held() + other_learner.held() == 1; });
  NotHolder().answer = FakeBackend::Answer::kOk;
  Holder().Die();
  Until([&] { return outcome.answers > 0; });
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
}

TEST_F(ProxyNodeTest, AReadThatALearnerCannotAnswerGoesElsewhere) {
  learner.answer = FakeBackend::Answer::kUnavailable;
  Start({&leader, &learner});
  EXPECT_EQ(AskAndWait(api::Method::kRange, "k").body, "from 1");
}

TEST_F(ProxyNodeTest, AMutationWhoseOutcomeIsUnknownIsNotSentAgain) {
  leader.answer = FakeBackend::Answer::kHold;
  Start(All());
  const Outcome& outcome = Ask(api::Method::kPut, "put");
  Until([&] { return leader.held() == 1; });
  leader.Die();
  Until([&] { return outcome.answers > 0; });
  EXPECT_EQ(outcome.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(outcome.status),
            "etcdserver: request timed out, possibly due to connection lost");
  EXPECT_TRUE(follower.asked.empty());
}

TEST_F(ProxyNodeTest, AMutationThatWasNotProposedGoesToWhoeverLeadsNext) {
  leader.answer = FakeBackend::Answer::kNotProposed;
  follower.answer = FakeBackend::Answer::kNotProposed;
  Start({&leader, &follower});
  const Outcome& outcome = Ask(api::Method::kPut, "put");
  Until([&] { return !leader.asked.empty() && !follower.asked.empty(); });
  EXPECT_EQ(outcome.answers, 0);
  follower.answer = FakeBackend::Answer::kOk;
  follower.state.leader = NodeId(2);
  follower.state.term = Term(4);
  loop.Post([&] { follower.Say(); });
  Until([&] { return outcome.answers > 0; });
  EXPECT_EQ(outcome.body, "from 2");
}

TEST_F(ProxyNodeTest, WithoutALeaderAWriteWaitsForOne) {
  leader.state.leader = follower.state.leader = NodeId();
  Start({&leader, &follower});
  const Outcome& outcome = Ask(api::Method::kPut, "put");
  Run([] { return false; }, 100 * kMillisecond);
  EXPECT_EQ(outcome.answers, 0);
  EXPECT_TRUE(leader.asked.empty());
  leader.state.leader = follower.state.leader = NodeId(1);
  loop.Post([&] {
    leader.Say();
    follower.Say();
  });
  Until([&] { return outcome.answers > 0; });
  EXPECT_EQ(outcome.body, "from 1");
}

TEST_F(ProxyNodeTest, WithoutALeaderUntilItsDeadlineAWriteFailsAsEtcdsDo) {
  leader.state.leader = NodeId();
  Start({&leader});
  const Outcome& outcome = Ask(api::Method::kPut, "put", 100 * kMillisecond);
  Until([&] { return outcome.answers > 0; });
  EXPECT_EQ(MessageOf(outcome.status), "etcdserver: no leader");
}

TEST_F(ProxyNodeTest, AnAnswerThatDoesNotComeTimesOut) {
  learner.answer = FakeBackend::Answer::kHold;
  Start({&leader, &learner});
  const Outcome& outcome = Ask(api::Method::kRange, "k", 100 * kMillisecond);
  Until([&] { return outcome.answers > 0; });
  EXPECT_EQ(MessageOf(outcome.status), "etcdserver: request timed out");
}

TEST_F(ProxyNodeTest, ADrainingLearnerGetsNothingNewAndFinishesWhatItHas) {
  learner.answer = FakeBackend::Answer::kHold;
  Start({&leader, &learner});
  const Outcome& before = Ask(api::Method::kRange, "a");
  Until([&] { return learner.held() == 1; });
  learner.state.draining = true;
  loop.Post([&] { learner.Say(); });
  Until([&] { return proxy->pool().router().usable() == 1; });
  EXPECT_EQ(AskAndWait(api::Method::kRange, "b").body, "from 1");
  loop.Post([&] { learner.AnswerHeld(); });
  Until([&] { return before.answers > 0; });
  EXPECT_EQ(before.body, "from 8");
}

// What watches are told of connections.
struct NotedEvents final : WatchEvents {
  void OnWatchFrame(std::uint64_t /*connection*/, const io::Frame& /*frame*/) override {}
  void OnConnectionLost(std::uint64_t /*connection*/) override {}
  void OnConnectionStale(std::uint64_t connection) override { ++stale[connection]; }
  void OnConnectionFresh(std::uint64_t connection) override { fresh.push_back(connection); }
  std::map<std::uint64_t, int> stale;
  std::vector<std::uint64_t> fresh;
};

TEST_F(ProxyNodeTest, WatchesAreRemindedOfABackendThatIsNotFreshUntilItIs) {
  Start({&learner, &other_learner});
  NotedEvents events;
  proxy->SetWatches(&events);
  learner.state.staleness = 4 * kSecond;
  loop.Post([&] { learner.Say(); });
  Until([&] { return !events.stale.empty(); });
  ASSERT_EQ(events.stale.size(), 1U);
  const auto& stale = *events.stale.begin();
  Until([&] { return stale.second >= 3; });
  learner.state.staleness = 0;
  loop.Post([&] { learner.Say(); });
  Until([&] { return !events.fresh.empty(); });
  EXPECT_EQ(events.fresh.front(), stale.first);
  const int before = stale.second;
  Run([] { return false; }, 150 * kMillisecond);
  EXPECT_EQ(stale.second, before);
  proxy->SetWatches(nullptr);
}

TEST_F(ProxyNodeTest, ALearnerThatRegistersIsUsed) {
  Start({&leader});
  EXPECT_EQ(AskAndWait(api::Method::kRange, "k").body, "from 1");
  replica::Registration registration;
  registration.id = NodeId(8);
  registration.name = "l1";
  registration.peer_urls = {"http://127.0.0.1:" + std::to_string(learner.port)};
  replica::Registry registry;
  std::vector<mvcc::MetaWrite> writes;
  ASSERT_TRUE(
      registry.Apply(Index(1), EncodeRegistryChange(replica::RegistryJoin{registration}), writes)
          .changed);
  loop.Post([&] { leader.SayRegistry(registry); });
  Until([&] { return proxy->pool().router().usable() == 2; });
  EXPECT_EQ(AskAndWait(api::Method::kRange, "k").body, "from 8");
}

TEST_F(ProxyNodeTest, MemberListShowsProxiesWhereTheVotersAre) {
  etcdserverpb::MemberListResponse list;
  list.mutable_header()->set_revision(7);
  for (const bool is_learner : {false, true}) {
    auto* member = list.add_members();
    member->set_id(is_learner ? 8 : 1);
    member->add_clienturls("http://own");
    member->set_islearner(is_learner);
  }
  leader.reply = list.SerializeAsString();
  Start({&leader, &learner});
  replica::Registration registration;
  registration.id = NodeId(100);
  registration.name = "p1";
  registration.role = replica::NodeRole::kProxy;
  registration.client_urls = {"http://proxy:2379"};
  replica::Registry registry;
  std::vector<mvcc::MetaWrite> writes;
  registry.Apply(Index(1), EncodeRegistryChange(replica::RegistryJoin{registration}), writes);
  loop.Post([&] { leader.SayRegistry(registry); });
  Until([&] { return proxy->pool().registry().version() == 1; });
  etcdserverpb::MemberListResponse shown;
  ASSERT_TRUE(shown.ParseFromString(AskAndWait(api::Method::kMemberList, "").body));
  EXPECT_EQ(shown.header().revision(), 7);
  EXPECT_EQ(shown.members(0).clienturls(0), "http://proxy:2379");
  EXPECT_EQ(shown.members(1).clienturls(0), "http://own");
}

TEST_F(ProxyNodeTest, ANodeOfAnotherClusterIsNeverUsedNotEvenWhenItIsTheLast) {
  Start({&leader, &learner});
  Replace(learner, 78);
  Run([] { return false; }, 700 * kMillisecond);
  EXPECT_EQ(proxy->pool().router().usable(), 1U);
  EXPECT_EQ(AskAndWait(api::Method::kRange, "k").body, "from 1");
  leader.Die();
  Run([] { return false; }, 700 * kMillisecond);
  EXPECT_EQ(proxy->pool().router().usable(), 0U);
  EXPECT_EQ(proxy->pool().cluster_id(), 77U);
  EXPECT_EQ(replaced_by, 0U) << "one of two upstreams is not most of them";
}

TEST_F(ProxyNodeTest, AnotherClusterAtTheUpstreamsAddressesIsToldOf) {
  Start({&leader, &follower, &learner});
  Replace(leader, 78);
  Replace(follower, 78);
  Run([] { return false; }, 700 * kMillisecond);
  EXPECT_EQ(replaced_by, 0U) << "one of its own is still there";
  learner.Die();
  Until([&] { return replaced_by != 0; });
  EXPECT_EQ(replaced_by, 78U);
  EXPECT_EQ(proxy->pool().router().usable(), 0U);
}

TEST_F(ProxyNodeTest, ALearnerThatWasLeftBehindDoesNotKeepItsClusterAlive) {
  Start({&leader, &follower, &learner});
  Replace(leader, 78);
  Replace(follower, 78);
  loop.Post([this] {
    learner.state.ready = false;
    learner.Say();
  });
  Until([&] { return replaced_by != 0; });
  EXPECT_EQ(replaced_by, 78U);
}

// A process has a pool for each loop, and spreads its clients over them.
TEST_F(ProxyNodeTest, PoolsOfOneProxyBelongToTheClusterThatTheFirstOfThemReached) {
  FakeBackend& stranger = strangers.emplace_back(loop, 10, replica::NodeRole::kVoter, 78);
  std::atomic<std::uint64_t> cluster{0};
  ProxyNode::Options options;
  options.pool.cluster = &cluster;
  options.pool.upstreams = {{"127.0.0.1", stranger.port}};
  ProxyNode first(loop, *transport, options);
  loop.Post([&] { first.Start(); });
  Until([&] { return first.pool().router().usable() == 1; });
  options.pool.upstreams = {{"127.0.0.1", leader.port}};
  ProxyNode second(loop, *transport, options);
  loop.Post([&] { second.Start(); });
  Until([&] { return second.pool().cluster_id() != 0; });
  EXPECT_EQ(second.pool().cluster_id(), 78U);
  EXPECT_EQ(second.pool().up(), 0U);
}

TEST_F(ProxyNodeTest, SilenceOfAllIsNoticedWithoutAWordFromAnyone) {
  Start({&leader});
  ASSERT_TRUE(proxy->pool().HasLeader());
  bool noticed = false;
  proxy->SetOnChange([&] { noticed = noticed || !proxy->pool().HasLeader(); });
  Until([&] { return noticed; });
}

TEST_F(ProxyNodeTest, StrangersThatDisagreeReplaceNobody) {
  Start({&leader, &follower, &learner});
  Replace(leader, 78);
  Replace(follower, 79);
  Replace(learner, 78);
  Run([] { return false; }, 700 * kMillisecond);
  EXPECT_EQ(replaced_by, 0U);
}

TEST_F(ProxyNodeTest, ALargeAnswerComesInParts) {
  learner.reply = std::string(3U << 20, 'x');
  Start({&leader, &learner});
  Outcome& outcome = AskAndWait(api::Method::kRange, "k");
  EXPECT_EQ(outcome.total, 3U << 20);
  ASSERT_NE(outcome.source, nullptr);
  Until([&] { return outcome.Drain(); });
  EXPECT_EQ(outcome.body, learner.reply);
}

TEST_F(ProxyNodeTest, ANodeReachedByTwoAddressesHasOneConnection) {
  ProxyNode::Options options;
  options.pool.upstreams = {{"127.0.0.1", leader.port}, {"localhost", leader.port}};
  proxy = std::make_unique<ProxyNode>(loop, *transport, options);
  loop.Post([this] { proxy->Start(); });
  Until([&] { return proxy->pool().router().usable() == 1 && proxy->pool().known() == 1; });
  Run([] { return false; }, 300 * kMillisecond);
  EXPECT_EQ(leader.server().connections(), 1U);
}

}  // namespace
}  // namespace coppice::proxy
