#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/api/methods.h"
#include "common/api/node.h"
#include "common/base/recycled.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/rpc/server.h"

namespace coppice::api {

// What hears of answered calls, for metrics; null members are not told.
class EdgeObserver {
 public:
  virtual ~EdgeObserver() = default;
  // `duration` is from the call's turn to its answer's.
  virtual void OnAnswered(Method method, StatusCode code, Micros duration,
                          const Served* served) = 0;
};

// What a gRPC call is to the edge while it waits; rpc::Call::context points to one.
class CallState {
 public:
  virtual void OnDrained(rpc::Call& /*call*/) {}
  // The call is over and must not be touched again. May delete itself.
  virtual void OnDone() = 0;

 protected:
  ~CallState() = default;
};

// The calls that a node has not answered, oldest first, so that the default deadline is a look at
// the front. Thread: the loop's.
class PendingCalls {
 public:
  struct Link {
    Link* prev = this;
    Link* next = this;
  };
  ~PendingCalls();
  void Push(Link& link);
  static void Remove(Link& link);
  [[nodiscard]] bool empty() const { return head_.next == &head_; }
  [[nodiscard]] Link& front() { return *head_.next; }

 private:
  Link head_;
};

// A unary call on its way through the node: holds the request's bytes for as long as the node holds
// the replier, and forgets the call once that is over, so that a late answer goes nowhere. Made and
// destroyed once per request: with Recycled, a request of up to kInlineBytes (token included)
// allocates nothing.
class PendingCall final : public Replier,
                          public CallState,
                          public Recycled<PendingCall>,
                          private PendingCalls::Link {
 public:
  static constexpr std::size_t kInlineBytes = 160;

  struct Context {
    rpc::Call& call;
    PendingCalls& pending;
    EdgeObserver* observer;  // or null
    Micros timeout;
    io::Loop& loop;
  };
  // Copies bytes and token into itself and points `request` to the copies.
  PendingCall(const Context& context, Request& request);
  ~PendingCall();  // unanswered: the client is told that the server stopped
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  void Ok(std::span<const std::string_view> pieces, const Served& served) override;
  void Fail(const Status& status) override;
  void FailNotProposed(const Status& status) override;
  void Parts(std::uint64_t total, std::unique_ptr<PartSource> source) override;
  void OnDone() override;

  // When the edge gives up; kNever if the client brought its own deadline.
  [[nodiscard]] Time due() const { return due_; }
  static PendingCall& From(PendingCalls::Link& link) { return static_cast<PendingCall&>(link); }

 private:
  rpc::Call* Take();
  void Count(StatusCode code, const Served* served);

  rpc::Call* call_;  // null once answered or gone
  EdgeObserver* const observer_;
  io::Loop& loop_;
  const Time arrived_;
  Time due_ = kNever;
  const Method method_;
  const bool trailers_;
  std::string large_;
  char inline_[kInlineBytes];
};

// Ends a call that was served, with what its trailers say if it asked for them.
void FinishServed(rpc::Call& call, const Served& served, bool trailers);

}  // namespace coppice::api
