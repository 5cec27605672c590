#pragma once

#include <optional>
#include <string>
#include <utility>

namespace coppice::ctl {

// How a command ended: nothing, or an exit code of etcdctl's and the line for `Error: ...`.
struct Failure {
  int code = 1;
  std::string message;  // empty: what there was to say has been said
};
using Outcome = std::optional<Failure>;

constexpr int kExitError = 1;
constexpr int kExitBadConnection = 2;
constexpr int kExitInvalidInput = 3;
constexpr int kExitBadFeature = 4;
constexpr int kExitInterrupted = 5;
constexpr int kExitBadArgs = 128;

inline Failure Error(std::string message) {
  return {kExitError, std::move(message)};
}
inline Failure BadArgs(std::string message) {
  return {kExitBadArgs, std::move(message)};
}
inline Failure BadFeature(std::string message) {
  return {kExitBadFeature, std::move(message)};
}

}  // namespace coppice::ctl
