#include "common/node/flags.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace coppice::node {
namespace {

// Parses `args` as a program's command line; what it says on stderr is in `error`.
struct Parsed {
  explicit Parsed(std::vector<const char*> args) {
    CommandLine line("test", "coppice-test");
    AddCommonFlags(line, flags);
    line.Duration("--interval", interval, "");
    line.Number("--size", size, "");
    args.insert(args.begin(), "coppice-test");
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    code = line.Parse(static_cast<int>(args.size()), args.data());
    error = testing::internal::GetCapturedStderr();
    out = testing::internal::GetCapturedStdout();
  }
  CommonFlags flags;
  Micros interval = 0;
  std::uint64_t size = 0;
  std::optional<int> code;
  std::string error;
  std::string out;
};

TEST(Flags, WithoutAnyServeClientsOnEtcdsPort) {
  const Parsed parsed({});
  EXPECT_EQ(parsed.code, std::nullopt);
  ASSERT_EQ(parsed.flags.listen_client_urls.size(), 1U);
  EXPECT_EQ(parsed.flags.listen_client_urls[0].url.ToString(), "http://localhost:2379");
  EXPECT_EQ(parsed.flags.log_format, LogFormat::kJson);
}

TEST(Flags, AListenerHasAConsistencyOfItsOwn) {
  const Parsed parsed({"--listen-client-urls",
                       "http://0.0.0.0:2379,http://0.0.0.0:2381?consistency=bounded&max-staleness="
                       "500ms"});
  ASSERT_EQ(parsed.code, std::nullopt) << parsed.error;
  ASSERT_EQ(parsed.flags.listen_client_urls.size(), 2U);
  EXPECT_EQ(parsed.flags.listen_client_urls[0].default_consistency.mode, ReadMode::kLinearizable);
  const Consistency& second = parsed.flags.listen_client_urls[1].default_consistency;
  EXPECT_EQ(second.mode, ReadMode::kBounded);
  EXPECT_EQ(second.max_staleness, 500 * kMillisecond);
}

TEST(Flags, AValueThatIsNoGoodIsOneLineThatNamesTheFlag) {
  const std::vector<std::vector<const char*>> lines = {
      {"--listen-client-urls", "127.0.0.1:2379"},
      {"--advertise-client-urls", "http://x"},
      {"--listen-metrics-urls", "https://x:1"},
      {"--threads", "0"},
      {"--threads", "65"},
      {"--threads", "many"},
      {"--peer-secret-file", "/nonexistent/secret"},
      {"--log-level", "loud"},
      {"--log-format", "xml"},
      {"--interval", "5"},
      {"--size", "-1"}};
  for (const auto& line : lines) {
    const Parsed parsed(line);
    EXPECT_EQ(parsed.code, 2) << line[0];
    EXPECT_NE(parsed.error.find(line[0]), std::string::npos) << parsed.error;
    EXPECT_EQ(std::count(parsed.error.begin(), parsed.error.end(), '\n'), 1) << parsed.error;
  }
}

TEST(Flags, AnUnknownFlagIsAnErrorThatSaysWhereTheKnownOnesAre) {
  const Parsed parsed({"--no-such-flag"});
  EXPECT_EQ(parsed.code, 2);
  EXPECT_NE(parsed.error.find("--no-such-flag"), std::string::npos) << parsed.error;
  EXPECT_NE(parsed.error.find("coppice-test --help"), std::string::npos) << parsed.error;
}

TEST(Flags, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(Parsed({"--help"}).code, 0);
  const Parsed version({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, "coppice-test 0.1.0\n");
}

TEST(Flags, TheSecretIsTheFilesContentWithoutItsNewline) {
  char path[] = "/tmp/coppice_flags_XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  std::ofstream(path) << "quiet\n";
  const Parsed parsed({"--peer-secret-file", path});
  unlink(path);
  EXPECT_EQ(parsed.code, std::nullopt) << parsed.error;
  EXPECT_EQ(parsed.flags.peer_secret, "quiet");
}

TEST(Flags, AWildcardIsAdvertisedAsTheLocalAddress) {
  const std::vector<api::Url> listening = {{"0.0.0.0", 2379}, {"10.0.0.7", 2381}};
  EXPECT_EQ(AdvertisedUrls({}, listening, "10.0.0.9"),
            (std::vector<std::string>{"http://10.0.0.9:2379", "http://10.0.0.7:2381"}));
  EXPECT_EQ(AdvertisedUrls({{"lb", 80}}, listening, "10.0.0.9"),
            (std::vector<std::string>{"http://lb:80"}));
}

TEST(Logging, JsonLinesEscapeWhatJsonDoesNotAllow) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, LogLevel::kWarn, 1'700'000'000'000'001, "a \"b\"\n\\"),
            "{\"level\":\"warn\",\"ts\":\"2023-11-14T22:13:20.000001Z\",\"msg\":"
            "\"a \\\"b\\\"\\u000a\\\\\"}\n");
}

TEST(Logging, TextLinesBeginWithTimeAndLevel) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, LogLevel::kInfo, 1'700'000'000'000'001, "up"),
            "2023-11-14T22:13:20.000001Z info  up\n");
}

}  // namespace
}  // namespace coppice::node
