#include "common/node/logging.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

#include "common/io/loop.h"

namespace coppice::node {
namespace {

LogFormat g_format = LogFormat::kJson;

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "?";
}

std::string TimeText(std::int64_t unix_micros) {
  const std::time_t seconds = unix_micros / 1'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     unix_micros % 1'000'000);
}

// Quotes, backslashes and control characters as RFC 8259 section 7 wants them.
std::string JsonEscaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

void ToStderr(LogLevel level, std::string_view message) {
  const std::string line = FormatLogLine(g_format, level, io::SystemClock().UnixMicros(), message);
  // Nobody could be told of a log that cannot be written.
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

bool ParseLogLevel(std::string_view text, LogLevel& out) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError}) {
    if (text != NameOf(level)) continue;
    out = level;
    return true;
  }
  return false;
}

bool ParseLogFormat(std::string_view text, LogFormat& out) {
  if (text != "json" && text != "text") return false;
  out = text == "json" ? LogFormat::kJson : LogFormat::kText;
  return true;
}

std::string FormatLogLine(LogFormat format, LogLevel level, std::int64_t unix_micros,
                          std::string_view message) {
  const std::string when = TimeText(unix_micros);
  if (format == LogFormat::kText) {
    return fmt::format("{} {:<5} {}\n", when, NameOf(level), message);
  }
  return fmt::format("{{\"level\":\"{}\",\"ts\":\"{}\",\"msg\":\"{}\"}}\n", NameOf(level), when,
                     JsonEscaped(message));
}

void SetUpLogging(LogLevel lowest, LogFormat format) {
  g_format = format;
  SetLogSink(&ToStderr, lowest);
}

}  // namespace coppice::node
