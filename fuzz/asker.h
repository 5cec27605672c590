#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/io/loop.h"
#include "common/io/transport.h"
#include "common/node/backend.h"
#include "fuzz/frame_checks.h"

namespace coppice::fuzz {

// A process that forwards requests to a stranger, for the target `transport`: each request has one
// outcome, whatever the other end says, and an answer in parts brings what it announced. Takes the
// frames of the one connection that it dials.
class Asker final : public io::ConnectionHandler, public node::Backend::Observer {
 public:
  explicit Asker(io::Loop& loop) : loop_(loop) {
    node::Link::Options address;
    address.redial = false;
    backend_ = std::make_unique<node::Backend>(loop, dialer_, address, *this, Rng(1));
    backend_->Start();
    COPPICE_CHECK(dialer_.handler != nullptr);
  }
  ~Asker() override {
    backend_.reset();
    for (const Question& question : questions_) COPPICE_CHECK(question.outcomes == 1);
  }

  void OnOpen(io::Connection& connection) override { dialer_.handler->OnOpen(connection); }
  void OnFrame(io::Connection& connection, const io::Frame& frame) override {
    dialer_.handler->OnFrame(connection, frame);
  }
  void OnWritable(io::Connection& connection) override { dialer_.handler->OnWritable(connection); }
  void OnClosed(io::Connection& connection, const Status& reason) override {
    dialer_.handler->OnClosed(connection, reason);
    COPPICE_CHECK(backend_->outstanding() == 0, "nothing is waited for without a connection");
  }
  // The connection ended before it was open.
  void OnNeverOpen(const Status& reason) { dialer_.on_failure({reason, false}); }

  // What clients do meanwhile.
  void Act(std::uint8_t what) {
    switch (what % 6) {
      case 2:
        for (Question& question : questions_) Take(question);
        return;
      case 3:
        if (!questions_.empty()) questions_[what / 6 % questions_.size()].source.reset();
        return;
      case 4:
        return backend_->Expire(loop_.now() + 8 * kSecond);
      case 5:
        for (auto& taken :
             backend_->Withdraw([&](const api::Replier&) { return ++count_ % 2 == 0; })) {
          GiveUp(taken);
        }
        return;
      default:
        return Ask();
    }
  }

 private:
  static constexpr std::string_view kBytes = "request";
  static constexpr std::string_view kToken = "token";
  static constexpr std::size_t kQuestionsMax = 100;

  // Keeps what a dial is to end in.
  struct Dialer final : io::Transport {
    void Dial(const std::string& /*host*/, std::uint16_t /*port*/, io::ConnectionClass /*unused*/,
              io::ConnectionHandler& of, OnFailure failure) override {
      handler = &of;
      on_failure = std::move(failure);
    }
    void SetClusterId(std::uint64_t /*cluster_id*/) override {}
    io::ConnectionHandler* handler = nullptr;
    OnFailure on_failure;
  };

  struct Question {
    int outcomes = 0;
    std::unique_ptr<api::PartSource> source;
    std::uint64_t announced = 0;
    std::uint64_t taken = 0;
    bool fickle = false;  // leaves as soon as it hears that there is more
  };

  class Teller final : public api::Replier {
   public:
    explicit Teller(Question& question) : question_(question) {}
    void Ok(std::span<const std::string_view> /*pieces*/, const api::Served& served) override {
      ++question_.outcomes;
      CheckServed(served);
    }
    void Fail(const Status& status) override {
      ++question_.outcomes;
      COPPICE_CHECK(!status.ok());
    }
    void FailNotProposed(const Status& status) override { Fail(status); }
    void Parts(std::uint64_t total, std::unique_ptr<api::PartSource> source) override {
      ++question_.outcomes;
      question_.announced = total;
      question_.source = std::move(source);
      question_.source->SetReady([&question = question_] {
        if (question.fickle) question.source.reset();
      });
    }

   private:
    Question& question_;
  };

  static void CheckServed(const api::Served& served) {
    COPPICE_CHECK(served.mode <= ReadMode::kSerializable && served.staleness >= -1 &&
                  served.compact_revision >= 0);
  }

  void Ask() {
    if (!backend_->up() || questions_.size() == kQuestionsMax) return;
    Question& question = questions_.emplace_back();
    question.fickle = questions_.size() % 5 == 0;
    api::Request request;
    request.method = api::Method::kRange;
    request.bytes = kBytes;
    request.token = kToken;
    if (questions_.size() % 2 == 0) request.deadline = loop_.now() + 7 * kSecond;
    backend_->Send(request, std::make_unique<Teller>(question));
  }

  static void Take(Question& question) {
    using Next = api::PartSource::Next;
    if (question.source == nullptr) return;
    auto next = Next::kMore;
    for (std::string out; next == Next::kMore; question.taken += out.size()) {
      out.clear();
      next = question.source->Take(out);
    }
    COPPICE_CHECK(question.taken <= question.announced);
    if (next == Next::kWait) return;
    if (next == Next::kLost) {
      COPPICE_CHECK(!question.source->status().ok());
    } else {
      COPPICE_CHECK(question.taken == question.announced, "the end comes behind all of it");
      CheckServed(question.source->served());
    }
    question.source.reset();
  }

  static void GiveUp(const node::Unanswered& left) {
    COPPICE_CHECK(left.bytes == kBytes && left.token == kToken);
    left.replier->Fail(left.reason);
  }

  void OnUp(node::Backend& /*backend*/) override {
    for (int i = 0; i < 4; ++i) Ask();
  }
  void OnDown(node::Backend& /*backend*/, const Status& reason,
              std::vector<node::Unanswered> left) override {
    COPPICE_CHECK(!reason.ok());
    for (const node::Unanswered& each : left) GiveUp(each);
  }
  void OnNotProposed(node::Backend& backend, node::Unanswered request) override {
    COPPICE_CHECK(request.certainly_not_done);
    if (++count_ % 4 == 0) return GiveUp(request);
    backend.Send(request.Renew(), std::move(request.replier));
  }
  void OnAnswered(node::Backend& /*backend*/, Micros latency) override {
    COPPICE_CHECK(latency >= 0);
    Ask();
  }
  void OnFrame(node::Backend& /*backend*/, const io::Frame& frame) override { CheckFrame(frame); }
  void OnWritable(node::Backend& /*backend*/) override {}

  io::Loop& loop_;
  Dialer dialer_;
  std::deque<Question> questions_;
  int count_ = 0;
  std::unique_ptr<node::Backend> backend_;
};

}  // namespace coppice::fuzz
