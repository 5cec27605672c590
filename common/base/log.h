#pragma once

#include <fmt/format.h>

#include <string_view>

namespace coppice {

enum class LogLevel : int { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

// Where log lines go; the program's main sets it once, before any thread starts. Without one,
// warnings and errors go to stderr. Any thread calls it. No line is written per request.
using LogSink = void (*)(LogLevel level, std::string_view message);
void SetLogSink(LogSink sink, LogLevel lowest);

bool LogEnabled(LogLevel level);
void LogMessage(LogLevel level, std::string_view message);

}  // namespace coppice

// COPPICE_LOG(kWarn, "peer {} closed: {}", id, reason)
#define COPPICE_LOG(level, ...)                                                      \
  do {                                                                               \
    if (::coppice::LogEnabled(::coppice::LogLevel::level)) {                         \
      ::coppice::LogMessage(::coppice::LogLevel::level, ::fmt::format(__VA_ARGS__)); \
    }                                                                                \
  } while (false)
