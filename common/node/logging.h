#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/log.h"

namespace coppice::node {

enum class LogFormat : std::uint8_t { kJson, kText };

// The values of --log-level and --log-format; false for a word that is none of them.
bool ParseLogLevel(std::string_view text, LogLevel& out);    // debug, info, warn, error
bool ParseLogFormat(std::string_view text, LogFormat& out);  // json, text

// One line of a log, its newline included. `unix_micros` is the wall clock.
//   {"level":"info","ts":"2026-01-02T03:04:05.678901Z","msg":"..."}
//   2026-01-02T03:04:05.678901Z info  ...
std::string FormatLogLine(LogFormat format, LogLevel level, std::int64_t unix_micros,
                          std::string_view message);

// From now on log lines of `lowest` and above go to stderr, each in one write. Called once, by
// main, before any thread starts.
void SetUpLogging(LogLevel lowest, LogFormat format);

}  // namespace coppice::node
