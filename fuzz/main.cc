// libFuzzer's entry points for the target that COPPICE_FUZZ_TARGET names.
// `--write-seeds=DIR` writes the seeds into files there and ends.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/base/log.h"
#include "fuzz/target.h"

namespace {

void Silent(coppice::LogLevel, std::string_view) {}

const coppice::fuzz::Target& TheTarget() {
  static const coppice::fuzz::Target kTarget = coppice::fuzz::COPPICE_FUZZ_TARGET();
  return kTarget;
}

void WriteSeeds(const std::string& folder) {
  int number = 0;
  for (const std::string& seed : TheTarget().seeds()) {
    const std::string path = folder + "/seed-" + std::to_string(number++);
    std::FILE* file = std::fopen(path.c_str(), "wb");
    const bool good =
        file != nullptr && std::fwrite(seed.data(), 1, seed.size(), file) == seed.size();
    if (file == nullptr || std::fclose(file) != 0 || !good) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      std::exit(1);
    }
  }
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kWriteSeeds = "--write-seeds=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (argument.starts_with(kWriteSeeds)) {
      WriteSeeds(std::string(argument.substr(kWriteSeeds.size())));
    }
  }
  coppice::SetLogSink(Silent, coppice::LogLevel::kDebug);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TheTarget().run({reinterpret_cast<const char*>(data), size});
  return 0;
}
