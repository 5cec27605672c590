#include "common/base/log.h"

#include <atomic>
#include <cstdio>

namespace coppice {
namespace {

void ToStderr(LogLevel /*level*/, std::string_view message) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
}

std::atomic<LogSink> g_sink{&ToStderr};
std::atomic<int> g_lowest{static_cast<int>(LogLevel::kWarn)};

}  // namespace

void SetLogSink(LogSink sink, LogLevel lowest) {
  g_sink.store(sink == nullptr ? &ToStderr : sink, std::memory_order_relaxed);
  g_lowest.store(static_cast<int>(lowest), std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) {
  return static_cast<int>(level) >= g_lowest.load(std::memory_order_relaxed);
}

void LogMessage(LogLevel level, std::string_view message) {
  g_sink.load(std::memory_order_relaxed)(level, message);
}

}  // namespace coppice
