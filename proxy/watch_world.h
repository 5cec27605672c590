#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/mvcc/testing/watch_model.h"
#include "common/replica/watch_connection.h"
#include "common/replica/watch_hub.h"
#include "proxy/watch_mux.h"

// For tests: a mux in a world of learners that follow one history, all in one thread.
namespace coppice::proxy {

using mvcc::WatchModel;

struct OwnedFrame {
  io::Frame frame;
  std::string payload;
};

// A learner: its own applied revision, one hub.
struct Backend {
  replica::WatchHub hub{{.rows_max = 3, .cohort_revisions = 20}, 1, 0};
  std::optional<replica::NeedHistory> need{};
};

// A connection of the proxy to a backend: two queues that keep order, and may be cut.
struct Link final : replica::FrameOut {
  Link(Backend& the_backend, Time now, const replica::WatchConnectionOptions& options)
      : backend(the_backend), server(options, the_backend.hub, *this, now) {}
  void Send(const io::Frame& frame, std::span<const std::string_view> pieces) override {
    OwnedFrame owned{frame, ""};
    for (const std::string_view piece : pieces) owned.payload.append(piece);
    to_proxy.push_back(std::move(owned));
  }
  std::size_t unsent_bytes() const override { return 0; }

  Backend& backend;
  std::deque<OwnedFrame> to_proxy;
  std::deque<OwnedFrame> to_backend;
  replica::WatchConnection server;
};

// The model, learners that follow it at their own pace, and connections that come and go.
class World final : public WatchBackends {
 public:
  World(int backends, const WatchMuxOptions& options) : mux(options, *this) {
    for (int i = 0; i < backends; ++i) {
      this->backends.push_back(std::make_unique<Backend>());
      Connect(static_cast<std::size_t>(i));
    }
  }

  ConnectionId Choose(ConnectionId except) override {
    std::vector<ConnectionId> found;
    for (auto& [id, link] : links) {
      if (id != except || links.size() == 1) found.push_back(id);
    }
    if (found.empty()) return kNoConnection;
    // In plain tests the first; else any, so that a catch-up runs ahead of the main upstream.
    return found[scatter == 0 ? 0 : Mix64(++scatter) % found.size()];
  }
  ConnectionId ChooseFresher(ConnectionId than) override {
    for (auto& [id, link] : links) {
      if (rounds[id] > rounds[than]) return id;
    }
    return kNoConnection;
  }
  void Send(ConnectionId connection, const io::Frame& frame) override {
    links.at(connection)->to_backend.push_back({frame, std::string(frame.payload)});
  }

  ConnectionId Connect(std::size_t backend) {
    const ConnectionId id = ++connections;
    links[id] = std::make_unique<Link>(*backends[backend], now, link_options);
    return id;
  }
  void Cut(ConnectionId id) {
    links.erase(id);
    mux.OnLost(now, id);
  }

  // The backend applies up to `to`.
  void Apply(Backend& backend, Revision to) {
    while (backend.hub.revision() < std::min(to, model.revision())) {
      backend.hub.OnBatch(model.From(backend.hub.revision() + 1, 1)[0]);
    }
    backend.hub.OnView(backend.hub.revision(), std::min(compact, backend.hub.revision()));
  }
  bool AskHistory(Backend& backend) {
    if (!backend.need.has_value()) backend.need = backend.hub.PollHistory();
    return backend.need.has_value();
  }
  void AnswerHistory(Backend& backend, std::size_t max) {
    if (!AskHistory(backend)) return;
    const replica::NeedHistory need = *std::exchange(backend.need, std::nullopt);
    replica::History history;
    if (need.from < backend.hub.compact_revision()) {
      history.error = mvcc::Error::kCompacted;
    } else {
      for (const auto& batch : model.From(need.from, max)) {
        if (batch->revision <= need.to) history.batches.push_back(batch);
      }
      history.next = history.batches.empty() ? need.to + 1 : history.batches.back()->revision + 1;
    }
    backend.hub.OnHistory(history);
  }
  void ServerTurn(Link& link) {
    if (!link.to_backend.empty()) {
      OwnedFrame owned = std::move(link.to_backend.front());
      link.to_backend.pop_front();
      owned.frame.payload = owned.payload;
      ASSERT_TRUE(link.server.OnFrame(now, owned.frame));
    }
    link.server.OnTurn(now, 1);
  }
  // One frame of a turn, if there is any.
  void ProxyFrame(ConnectionId id) {
    Link& link = *links.at(id);
    if (link.to_proxy.empty()) return;
    OwnedFrame owned = std::move(link.to_proxy.front());
    link.to_proxy.pop_front();
    owned.frame.payload = owned.payload;
    ASSERT_TRUE(mux.OnFrame(now, id, owned.frame));
  }
  void ProxyTurn(ConnectionId id) {
    ProxyFrame(id);
    mux.Poll(now);
  }
  // Everything moves until it is quiet.
  void Settle() {
    for (int round = 0; round < 60; ++round) {
      now += 10 * kMillisecond;
      for (auto& backend : backends) {
        Apply(*backend, model.revision());
        AnswerHistory(*backend, 100);
      }
      for (auto& [id, link] : links) {
        do {
          ServerTurn(*link);
        } while (!link->to_backend.empty());
        while (!link->to_proxy.empty()) ProxyTurn(id);
      }
      mux.Poll(now);
    }
  }

  WatchModel model;
  Revision compact = 0;
  Time now = kSecond;
  ConnectionId connections = 0;
  std::uint64_t scatter = 0;
  replica::WatchConnectionOptions link_options{.frame_bytes_max = 100};
  std::vector<std::unique_ptr<Backend>> backends;
  std::map<ConnectionId, std::unique_ptr<Link>> links;
  std::map<ConnectionId, Time> rounds;  // the last confirmed one of each one's backend
  WatchMux mux;
};

}  // namespace coppice::proxy
