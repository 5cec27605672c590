// Every seed and every kept input (fuzz/corpus/TARGET) through its target, in every build.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/base/log.h"
#include "fuzz/target.h"

namespace coppice::fuzz {
namespace {

std::vector<std::filesystem::path> Kept(const Target& target) {
  const std::filesystem::path folder = std::filesystem::path("fuzz/corpus") / target.name;
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  return files;
}

class Corpus : public testing::TestWithParam<Target> {
 protected:
  Corpus() {
    SetLogSink([](LogLevel, std::string_view) {}, LogLevel::kDebug);
  }
};

TEST_P(Corpus, SeedsKeepTheRules) {
  const std::vector<std::string> seeds = GetParam().seeds();
  EXPECT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) GetParam().run(seed);
}

TEST_P(Corpus, KeptInputsKeepTheRules) {
  for (const std::filesystem::path& path : Kept(GetParam())) {
    SCOPED_TRACE(path);
    std::ifstream file(path, std::ios::binary);
    const std::string input((std::istreambuf_iterator<char>(file)), {});
    ASSERT_TRUE(file);
    GetParam().run(input);
  }
}

TEST_P(Corpus, AnEmptyInputIsHarmless) {
  GetParam().run("");
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus,
                         testing::Values(EdgeTarget(), TransportTarget(), WalTarget(),
                                         RegistryTarget(), KeysTarget(), RequestsTarget()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace coppice::fuzz
