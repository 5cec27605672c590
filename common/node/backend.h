#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/api/node.h"
#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/node/link.h"

namespace coppice::node {

// A request that a backend did not answer: what is needed to send it elsewhere, or to give up.
struct Unanswered {
  api::Request request;  // without `bytes` and `token`: take them from here
  std::string bytes;
  std::string token;
  std::unique_ptr<api::Replier> replier;
  // The request again, its views into this.
  api::Request Renew() const {
    api::Request again = request;
    again.bytes = bytes;
    again.token = token;
    return again;
  }
  // No byte of it left, or the backend said NotProposed: even a mutation may be sent again.
  bool certainly_not_done = false;
  Status reason;
};

// The asking end of a class kRequest connection to one voter or learner: pending requests in a slab
// whose slots are the streams, answers handed to their repliers, and whatever else the node says to
// the observer. Reconnects by itself. An answer in several frames goes to its replier with the
// first of them, and what was not taken yet is bounded by the stream's credit: a slow client holds
// back its own answer only. One that has begun and is lost is not asked for again.
// Thread: its loop's.
class Backend {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnUp(Backend& backend) = 0;
    // The connection is gone (or a dial failed), with what it leaves unanswered.
    virtual void OnDown(Backend& backend, const Status& reason, std::vector<Unanswered> left) = 0;
    // The node refused one without doing it.
    virtual void OnNotProposed(Backend& backend, Unanswered request) = 0;
    // An answer came, or its first frame, in `latency`; what it said goes to the replier by itself.
    virtual void OnAnswered(Backend& /*backend*/, Micros /*latency*/) {}
    // kNodeState, kRegistry, kGoAway and the watch frames.
    virtual void OnFrame(Backend& backend, const io::Frame& frame) = 0;
    virtual void OnWritable(Backend& /*backend*/) {}
  };

  Backend(io::Loop& loop, io::Transport& transport, Link::Options address, Observer& observer,
          Rng rng);
  ~Backend();

  void Start() { link_.Start(); }
  bool up() const { return link_.connection() != nullptr; }
  io::Connection* connection() const { return link_.connection(); }
  const std::string& host() const { return link_.options().host; }
  std::uint16_t port() const { return link_.options().port; }
  std::size_t outstanding() const { return slots_.size() - free_.size(); }

  // Whether the request's bytes and token are kept for Unanswered, or the caller has them.
  enum class Keep : bool { kNo, kYes };
  // Only while up(). The bytes are copied. The observer hears what comes of it unless it is
  // answered.
  void Send(const api::Request& request, std::unique_ptr<api::Replier> replier,
            Keep keep = Keep::kYes);
  // Takes back what is outstanding, has no part of its answer yet, and `which` says true of (by its
  // replier); an answer that comes all the same is dropped.
  std::vector<Unanswered> Withdraw(const std::function<bool(const api::Replier&)>& which);
  // Answers with `request timed out` what is past its deadline, and gives up answers that stopped
  // coming.
  void Expire(Time now);

  std::uint64_t tag = 0;  // the observer's own

 private:
  struct Incoming;
  class IncomingParts;
  struct Slot {
    std::uint32_t generation = 1;
    bool used = false;
    api::Request request;
    std::string bytes;
    std::string token;
    std::unique_ptr<api::Replier> replier;
    Time sent_at = 0;
    std::shared_ptr<Incoming> incoming;  // an answer that has begun; its replier has been told
  };

  void OnFrame(const io::Frame& frame);
  void OnReply(const io::Frame& frame);
  void OnFirstPart(std::uint32_t index, std::string_view payload);
  void OnPart(std::uint32_t index, std::string_view payload, bool last);
  void OnWhole(std::uint32_t index, std::string_view payload);
  void OnError(std::uint32_t index, std::string_view payload);
  void Malformed();
  void Lose(std::uint32_t index, const Status& why);
  void Grant(Incoming& incoming, std::size_t bytes);
  void Down(const Status& reason);
  void Free(std::uint32_t index);
  void SendCancel(std::uint32_t index);
  void SendCancel(io::StreamId stream);
  Unanswered Take(std::uint32_t index);

  io::Loop& loop_;
  Observer& observer_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::string head_;  // of the request being sent; kept for its memory
  Link link_;
};

}  // namespace coppice::node
