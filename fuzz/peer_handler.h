#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/node/request_server.h"
#include "common/replica/watch_connection.h"
#include "fuzz/frame_checks.h"
#include "fuzz/parts_feed.h"

// The process behind a peer port, for the target `transport`.
namespace coppice::fuzz {

// Answers requests in turn at once, large, in parts, with an error, late, or not at all.
class PartsNode final : public api::Node {
 public:
  void Serve(const api::Request& request, std::unique_ptr<api::Replier> replier) override {
    COPPICE_CHECK(request.deadline > 0, "a deadline is no time that has long been");
    const std::string_view pieces[] = {request.bytes, "!"};
    switch (count_++ % 8) {
      case 0:
        return replier->Ok(pieces, {});
      case 1: {
        const std::string large(300'000, 'x');
        const std::string_view one[] = {large};
        return replier->Ok(one, {.by = NodeId(3), .staleness = 5});
      }
      case 2:
        return replier->Parts(200'000, std::make_unique<api::MadeParts>(Parts(), api::Served()));
      case 3:
        return replier->Fail(MakeStatus(StatusCode::kUnavailable, "no"));
      case 4:
        return;
      case 5:
        return replier->Parts(200'000, feed_.Begin(std::string(200'000, 'f'), {}, false));
      case 6:
        return replier->Parts(200'000, feed_.Begin(std::string(90'000, 'l'), {}, true));
      default:
        late_.push_back(std::move(replier));
    }
  }
  void AnswerLate() {
    for (auto& replier : late_) replier->Ok({}, {});
    late_.clear();
    feed_.Arrive();
  }

 private:
  static std::function<bool(std::string&)> Parts() {
    return [left = 4](std::string& out) mutable {
      out.append(50'000, 'p');
      return --left > 0;
    };
  }
  int count_ = 0;
  PartsFeed feed_;
  std::vector<std::unique_ptr<api::Replier>> late_;
};

// The watches of a request connection, over a hub that has no events but revisions.
class HubWatches final : public node::WatchServer, public replica::FrameOut {
 public:
  explicit HubWatches(io::Loop& loop) : loop_(loop) {}

  void OnWatchFrame(io::Connection& connection, const io::Frame& frame) override {
    if (watches_ == nullptr) {
      connection_ = &connection;
      const replica::WatchConnectionOptions options{.streams_max = 8};
      watches_ = std::make_unique<replica::WatchConnection>(options, hub_, *this, loop_.now());
    }
    if (!watches_->OnFrame(loop_.now(), frame)) {
      return connection.Close(MakeStatus(StatusCode::kDataLoss, "malformed watch frame"));
    }
    hub_.OnView(++revision_, 3);
    while (const auto need = hub_.PollHistory()) hub_.OnHistory({.next = need->to + 1});
    watches_->OnTurn(loop_.now(), 0);
    COPPICE_CHECK(watches_->streams() <= 8);
  }
  void OnWatchWritable(io::Connection&) override {
    if (watches_ != nullptr) watches_->OnDrained(loop_.now());
  }
  void OnWatchClosed(io::Connection&) override { watches_.reset(); }

 private:
  void Send(const io::Frame& frame, std::span<const std::string_view> pieces) override {
    std::size_t size = 0;
    for (const std::string_view piece : pieces) size += piece.size();
    std::string& out = connection_->BeginFrame(frame, size);
    for (const std::string_view piece : pieces) out.append(piece);
  }
  std::size_t unsent_bytes() const override { return connection_->unsent_bytes(); }

  io::Loop& loop_;
  io::Connection* connection_ = nullptr;
  Revision revision_ = 10;
  replica::WatchHub hub_{{}, 10, 3};
  std::unique_ptr<replica::WatchConnection> watches_;
};

// Takes a connection's frames, as the process's handler of that class would.
class PeerHandler final : public io::ConnectionHandler {
 public:
  explicit PeerHandler(io::Loop& loop) : watches_(loop), requests_(loop, node_, &watches_) {}

  // Whose frames they are; null: a server's of requests. Before OnOpen.
  void ServeBy(io::ConnectionHandler* other) {
    if (other != nullptr) inner_ = other;
  }

  void OnOpen(io::Connection& connection) override {
    COPPICE_CHECK(!std::exchange(open_, true));
    inner_->OnOpen(connection);
  }
  void OnFrame(io::Connection& connection, const io::Frame& frame) override {
    COPPICE_CHECK(open_ && !closed_);
    CheckFrame(frame);
    if (connection.peer().connection_class == io::ConnectionClass::kRequest) {
      inner_->OnFrame(connection, frame);
    }
  }
  void OnWritable(io::Connection& connection) override { inner_->OnWritable(connection); }
  void OnClosed(io::Connection& connection, const Status& reason) override {
    COPPICE_CHECK(open_ && !std::exchange(closed_, true) && !reason.ok());
    inner_->OnClosed(connection, reason);
    COPPICE_CHECK(requests_.connections() == 0);
  }
  bool open() const { return open_; }
  bool closed() const { return closed_; }
  PartsNode& node() { return node_; }

 private:
  bool open_ = false;
  bool closed_ = false;
  PartsNode node_;
  HubWatches watches_;
  node::RequestServer requests_;
  io::ConnectionHandler* inner_ = &requests_;
};

}  // namespace coppice::fuzz
