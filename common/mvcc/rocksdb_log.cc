#include "common/mvcc/rocksdb_log.h"

#include <array>
#include <cstdarg>
#include <cstdio>

#include "common/base/log.h"

namespace coppice::mvcc {
namespace {

class Forwarding final : public rocksdb::Logger {
 public:
  Forwarding() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using Logger::Logv;
  void Logv(const char* /*format*/, va_list /*values*/) override {
  }  // headers, and what has no level
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list values) override {
    if (level < GetInfoLogLevel() || level == rocksdb::InfoLogLevel::HEADER_LEVEL) return;
    std::array<char, 1024> line;  // a longer line is cut
    if (std::vsnprintf(line.data(), line.size(), format, values) < 0) return;
    if (level == rocksdb::InfoLogLevel::WARN_LEVEL) {
      COPPICE_LOG(kWarn, "rocksdb: {}", line.data());
    } else {
      COPPICE_LOG(kError, "rocksdb: {}", line.data());
    }
  }
};

}  // namespace

std::shared_ptr<rocksdb::Logger> StoreLog() {
  return std::make_shared<Forwarding>();
}

}  // namespace coppice::mvcc
