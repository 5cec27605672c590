#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "common/client/core.h"

namespace coppice::client {

// Drives a Core by hand: one input at a time, and the effects of the last one.
class CoreHarness {
 public:
  explicit CoreHarness(std::size_t endpoints, CoreOptions options = {})
      : core(WithEndpoints(options, endpoints), Rng(7)) {}

  void Put(const Input& input) {
    effects.clear();
    core.Step(now, input, effects);
  }
  // To the next deadline, and the Timer there.
  void Wait() {
    now = std::max(now, core.NextDeadline());
    Put(Timer{});
  }
  RequestId Start(Kind kind, CallOptions options = {}, Time deadline = kNever) {
    Put(Begin{.id = ++last_id, .kind = kind, .deadline = deadline, .options = std::move(options)});
    return last_id;
  }
  void Fail(const Send& send, StatusCode code, std::string_view message, bool not_sent = false,
            bool unreached = false) {
    Put(Failed{send.id, send.attempt, MakeStatus(code, message), not_sent, unreached});
  }
  void Refuse(const Send& send) {
    Fail(send, StatusCode::kUnavailable, "connection refused", true, true);
  }
  void Answer(const Send& send, Revision revision, std::uint64_t cluster = 0xc0) {
    Put(Answered{send.id, send.attempt, {cluster, revision}});
  }

  // The one effect of this kind among the last effects; none or several: nothing.
  template <typename T>
  std::optional<T> Only() const {
    std::optional<T> found;
    for (const Effect& effect : effects) {
      if (const T* one = std::get_if<T>(&effect)) {
        if (found) return std::nullopt;
        found = *one;
      }
    }
    return found;
  }
  // The Send among the last effects. Fails the test if there is none.
  Send Sent() const {
    const std::optional<Send> send = Only<Send>();
    EXPECT_TRUE(send.has_value());
    return send.value_or(Send{});
  }
  Finish Finished() const {
    const std::optional<Finish> finish = Only<Finish>();
    EXPECT_TRUE(finish.has_value());
    return finish.value_or(Finish{});
  }

  Core core;
  Effects effects;
  Time now = kSecond;
  RequestId last_id = 0;

 private:
  static CoreOptions WithEndpoints(CoreOptions options, std::size_t endpoints) {
    options.endpoints = endpoints;
    return options;
  }
};

// The value sent under `name`; "-" if none is.
inline std::string Sent(const Metadata& metadata, std::string_view name) {
  for (const auto& [key, value] : metadata) {
    if (key == name) return value;
  }
  return "-";
}

}  // namespace coppice::client
