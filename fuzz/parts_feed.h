#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/api/part_source.h"
#include "common/base/check.h"

namespace coppice::fuzz {

// Large answers whose bytes arrive bit by bit, as those of another process do. Outlives them.
class PartsFeed {
 public:
  static constexpr std::size_t kPieceBytes = 60'000;

  PartsFeed() = default;
  ~PartsFeed() { COPPICE_CHECK(sources_.empty(), "an answer is gone with its call"); }
  PartsFeed(const PartsFeed&) = delete;
  PartsFeed& operator=(const PartsFeed&) = delete;

  // `lost`: it breaks off after the bytes.
  std::unique_ptr<api::PartSource> Begin(std::string bytes, const api::Served& served, bool lost) {
    return std::make_unique<Source>(*this, std::move(bytes), served, lost);
  }
  // The next piece of each answer.
  void Arrive() {
    const std::vector<Source*> all = sources_;
    for (Source* source : all) {
      if (std::find(sources_.begin(), sources_.end(), source) != sources_.end()) source->Arrive();
    }
  }

 private:
  class Source final : public api::PartSource {
   public:
    Source(PartsFeed& feed, std::string bytes, const api::Served& served, bool lost)
        : feed_(feed), rest_(std::move(bytes)), served_(served), lost_(lost) {
      feed_.sources_.push_back(this);
    }
    ~Source() override { std::erase(feed_.sources_, this); }

    Next Take(std::string& out) override {
      COPPICE_CHECK(!over_, "nothing is taken behind the end");
      out.append(std::exchange(arrived_, {}));
      if (!rest_.empty()) return Next::kWait;
      over_ = true;
      return lost_ ? Next::kLost : Next::kEnd;
    }
    void SetReady(std::function<void()> ready) override { ready_ = std::move(ready); }
    api::Served served() const override {
      COPPICE_CHECK(over_ && !lost_);
      return served_;
    }
    Status status() const override {
      COPPICE_CHECK(over_ && lost_);
      return MakeStatus(StatusCode::kUnavailable, "the rest is lost");
    }

    void Arrive() {
      if (over_) return;
      arrived_.append(rest_, 0, kPieceBytes);
      rest_.erase(0, kPieceBytes);
      const auto ready = ready_;  // may destroy this
      if (ready) ready();
    }

   private:
    PartsFeed& feed_;
    std::string rest_;  // has not arrived
    std::string arrived_;
    const api::Served served_;
    const bool lost_;
    bool over_ = false;
    std::function<void()> ready_;
  };

  std::vector<Source*> sources_;
};

}  // namespace coppice::fuzz
