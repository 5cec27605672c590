#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace coppice {

using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

inline Status OkStatus() {
  return absl::OkStatus();
}

// Debian builds absl with a string_view of its own; these two convert.
inline absl::string_view ToAbsl(std::string_view s) {
  return {s.data(), s.size()};
}
inline std::string_view FromAbsl(absl::string_view s) {
  return {s.data(), s.size()};
}

inline Status MakeStatus(StatusCode code, std::string_view message) {
  return Status(code, ToAbsl(message));
}
inline std::string_view MessageOf(const Status& status) {
  return FromAbsl(status.message());
}

// The same code, the message with "context: " in front.
inline Status Annotate(const Status& status, std::string_view context) {
  return MakeStatus(status.code(), std::string(context) + ": " + std::string(MessageOf(status)));
}

}  // namespace coppice

#define COPPICE_RETURN_IF_ERROR(expr)                                                 \
  do {                                                                                \
    if (auto coppice_status_ = (expr); !coppice_status_.ok()) return coppice_status_; \
  } while (false)

#define COPPICE_CONCAT_INNER(a, b) a##b
#define COPPICE_CONCAT(a, b) COPPICE_CONCAT_INNER(a, b)
// COPPICE_ASSIGN_OR_RETURN(auto x, F()); returns F's status if it has no value.
#define COPPICE_ASSIGN_OR_RETURN(lhs, expr) \
  COPPICE_ASSIGN_OR_RETURN_INNER(COPPICE_CONCAT(coppice_or_, __LINE__), lhs, expr)
#define COPPICE_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                                   \
  if (!tmp.ok()) return tmp.status();                  \
  lhs = std::move(tmp).value()
