#include "loadgen/history.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace coppice::loadgen {
namespace {

Record SomeRead() {
  Record record;
  record.kind = RecordKind::kGet;
  record.client = 3;
  record.session = true;
  record.invoke = 100;
  record.end = 250;
  record.key = "a\"b\\c\n";
  record.value = "run.1";
  record.mode = ReadMode::kBounded;
  record.max_staleness = 500000;
  record.min_revision = 4;
  record.revision = 17;
  record.mod_revision = 15;
  return record;
}

TEST(History, ARecordIsReadBackAsItWasWritten) {
  Record put;
  put.kind = RecordKind::kPut;
  put.outcome = RecordOutcome::kUnknown;
  put.key = "k";
  put.value = "v";
  Record watch;
  watch.kind = RecordKind::kWatch;
  watch.key = "k";
  watch.range_end = "l";
  watch.revision = 9;
  Record absent = SomeRead();
  absent.value.reset();
  Record empty = SomeRead();
  empty.value = "";
  for (const Record& record : {SomeRead(), put, watch, absent, empty}) {
    const auto read = ParseRecord(FormatRecord(record));
    ASSERT_TRUE(read.ok()) << FormatRecord(record);
    EXPECT_EQ(*read, record) << FormatRecord(record);
  }
}

TEST(History, BlanksAndUnknownFieldsAreAllowed) {
  const auto record = ParseRecord(R"( { "op" : "get" , "key":"k", "colour":"red", "size":-1 } )");
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->key, "k");
}

TEST(History, MalformedLinesAreRefused) {
  for (const char* line :
       {"", "{", "[]", "{\"op\":\"get\"", "{\"op\":\"sing\"}", "{\"op\":\"get\",\"revision\":x}",
        "{\"op\":\"get\"} x", "{\"op\":\"get", "{\"op\":\"\\u12\"}", "{\"key\":\"k\"}"}) {
    EXPECT_FALSE(ParseRecord(line).ok()) << line;
  }
}

TEST(History, AFileIsReadBackAndABadLineIsNamed) {
  std::string folder = (std::filesystem::temp_directory_path() / "history_XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/h.jsonl";
  auto writer = HistoryWriter::Create(path);
  ASSERT_TRUE(writer.ok());
  writer->Add(SomeRead());
  writer->Add(SomeRead());
  ASSERT_TRUE(writer->Close().ok());
  const auto history = ReadHistory(path);
  ASSERT_TRUE(history.ok());
  EXPECT_EQ(*history, History({SomeRead(), SomeRead()}));
  std::ofstream(path, std::ios::app) << "nonsense\n";
  const auto broken = ReadHistory(path);
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(MessageOf(broken.status()).find("h.jsonl:3"), std::string_view::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace coppice::loadgen
