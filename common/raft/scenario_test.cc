#include "common/raft/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace coppice::raft {
namespace {

// A scenario is comments ('#' lines), and blocks of commands, "----", and what they make the cores
// do, up to an empty line. COPPICE_REWRITE=1 writes what happens now as what is expected: read the
// difference before it is committed.

std::vector<std::filesystem::path> Files() {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator("common/raft/testdata")) {
    files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string Replay(std::istream& in) {
  Scenario scenario;
  std::string result;
  std::string output;
  for (std::string line; std::getline(in, line);) {
    if (line == "----") {
      result += "----\n" + output + "\n";
      output.clear();
      while (std::getline(in, line) && !line.empty()) continue;
      continue;
    }
    result += line + "\n";
    if (!line.empty() && line.front() != '#') output += scenario.Run(line);
  }
  while (result.ends_with("\n\n")) result.pop_back();
  return result;
}

class RaftScenario : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(RaftScenario, HappensAsWritten) {
  std::ifstream file(GetParam());
  const std::string expected((std::istreambuf_iterator<char>(file)), {});
  std::istringstream in(expected);
  const std::string happened = Replay(in);
  if (std::getenv("COPPICE_REWRITE") != nullptr) {
    std::ofstream(GetParam()) << happened;
    return;
  }
  EXPECT_EQ(happened, expected);
}

INSTANTIATE_TEST_SUITE_P(Testdata, RaftScenario, testing::ValuesIn(Files()),
                         [](const auto& file) { return file.param.stem().string(); });

}  // namespace
}  // namespace coppice::raft
