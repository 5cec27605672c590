#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "common/mvcc/ops.h"
#include "common/mvcc/record.h"
#include "common/mvcc/rows.h"

namespace coppice::mvcc {
namespace {

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out.push_back("0123456789abcdef"[static_cast<unsigned char>(c) >> 4]);
    out.push_back("0123456789abcdef"[c & 15]);
  }
  return out;
}

TxnOp NestedTxn() {
  TxnOp txn;
  txn.compares.push_back({.range = KeyRange::FromWire("k", ""),
                          .target = CompareTarget::kMod,
                          .result = CompareResult::kGreater,
                          .number = 5});
  txn.compares.push_back({.range = KeyRange::FromWire("a", "b"),
                          .target = CompareTarget::kValue,
                          .result = CompareResult::kNotEqual,
                          .value = "v"});
  txn.success.emplace_back(PutOp{.key = "k", .value = "v", .lease = 300, .prev_kv = true});
  txn.failure.emplace_back(RangeOp{.range = KeyRange::FromWire("a", std::string_view("\0", 1)),
                                   .limit = 7,
                                   .revision = 9,
                                   .sort_order = SortOrder::kDescend,
                                   .sort_target = SortTarget::kMod,
                                   .keys_only = true,
                                   .min_mod_revision = 3});
  auto nested = std::make_unique<TxnOp>();
  nested->success.emplace_back(DeleteOp{.range = KeyRange::FromWire("k", ""), .prev_kv = true});
  txn.failure.emplace_back(std::move(nested));
  return txn;
}

// What is in logs and stores must be readable by every later release.
TEST(CommandCodec, EncodingsAreGolden) {
  EXPECT_EQ(
      Hex(EncodeCommand(PutOp{.key = "key", .value = "value", .lease = 1, .ignore_lease = true})),
      "0104036b65790576616c756501");
  EXPECT_EQ(Hex(EncodeCommand(DeleteOp{.range = KeyRange::FromWire("a", "c"), .prev_kv = true})),
            "0201010161"
            "0163");
  EXPECT_EQ(Hex(EncodeCommand(CompactOp{300})), "04ac02");
  EXPECT_EQ(Hex(EncodeCommand(AlarmOp{true, NodeId(300), AlarmType::kNoSpace})), "0501ac0201");
  EXPECT_EQ(Hex(EncodeCommand(NestedTxn())),
            "03"
            "02"
            "020100016b05"
            "030301016101620176"
            "01"
            "0101016b0176ac02"
            "02"
            "0005020161"
            "0709"
            "0203"
            "03000000"
            "03"
            "00"
            "01"
            "020100016b"
            "00");
}

TEST(CommandCodec, DecodesWhatItEncodes) {
  const std::string bytes = EncodeCommand(NestedTxn());
  Command command;
  ASSERT_TRUE(DecodeCommand(bytes, command));
  EXPECT_EQ(EncodeCommand(command), bytes);
  const auto& range = std::get<RangeOp>(std::get<TxnOp>(command).failure[0]);
  EXPECT_TRUE(range.range.unbounded);
  EXPECT_EQ(range.limit, 7);
  EXPECT_EQ(range.min_mod_revision, 3);
}

TEST(CommandCodec, RefusesWhatIsCutOrUnknown) {
  const std::string bytes = EncodeCommand(NestedTxn());
  Command command;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeCommand(std::string_view(bytes).substr(0, size), command)) << size;
  }
  EXPECT_FALSE(DecodeCommand(bytes + "x", command));
  EXPECT_FALSE(DecodeCommand("\x01\x08\x01k\x01v", command));  // an unknown flag of a put
  std::string deep("\x03", 1);
  for (int i = 0; i < 100; ++i) deep += std::string("\x00\x01\x03", 3);
  EXPECT_FALSE(DecodeCommand(deep, command));
}

TEST(Record, EncodesAKeyValueWithTheValueLast) {
  const RecordPtr record = Record::Make(
      {.key = "key", .value = "value", .create = 2, .id = {300, 4}, .version = 5, .lease = 6});
  EXPECT_EQ(Hex(record->encoded()),
            "0a036b6579"
            "1002"
            "18ac02"
            "2005"
            "3006"
            "2a0576616c7565");
  EXPECT_EQ(Hex(record->encoded_without_value()),
            "0a036b6579"
            "1002"
            "18ac02"
            "2005"
            "3006");
  EXPECT_EQ(record->key(), "key");
  EXPECT_EQ(record->value(), "value");
  EXPECT_EQ(Hex(Record::MakeTombstone("k", {300, 0})->encoded()), "0a016b18ac02");
}

TEST(Rows, EncodingsAreGolden) {
  const RecordPtr put =
      Record::Make({.key = "k", .value = "v", .create = 2, .id = {258, 3}, .version = 1});
  EXPECT_EQ(Hex(RowKey(put->id())),
            "0000000000000102"
            "00000003");
  EXPECT_EQ(Hex(RowValue(*put)),
            "00"
            "0a016b"
            "1002"
            "188202"
            "2001"
            "2a0176");
  const RecordPtr tombstone = Record::MakeTombstone("k", {258, 4});
  EXPECT_EQ(Hex(RowValue(*tombstone)),
            "01"
            "0a016b"
            "188202");
}

TEST(Rows, ParseWhatIsWritten) {
  const RecordPtr put = Record::Make(
      {.key = "k", .value = "v", .create = 2, .id = {258, 3}, .version = 1, .lease = 9});
  const RecordPtr parsed = ParseRow(put->id(), RowValue(*put));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->encoded(), put->encoded());
  EXPECT_EQ(parsed->encoded_without_value(), put->encoded_without_value());
  EXPECT_EQ(parsed->value(), "v");
  EXPECT_EQ(parsed->lease(), 9);
  EXPECT_EQ(parsed->id(), put->id());
  EXPECT_FALSE(ParseRow({259, 3}, RowValue(*put)));
  EXPECT_FALSE(ParseRow(put->id(), RowValue(*put) + "x"));
  EXPECT_FALSE(ParseRow(put->id(), "\x02"));
  EXPECT_FALSE(ParseRow(put->id(), ""));
}

TEST(KeyRange, FollowsEtcdsWire) {
  const std::string_view zero("\0", 1);
  EXPECT_TRUE(KeyRange::FromWire("a", "").SingleKey());
  EXPECT_TRUE(KeyRange::FromWire("a", "").Contains("a"));
  EXPECT_FALSE(KeyRange::FromWire("a", "").Contains("ab"));
  EXPECT_TRUE(KeyRange::FromWire("a", zero).Contains("zz"));
  EXPECT_FALSE(KeyRange::FromWire("b", zero).Contains("a"));
  EXPECT_TRUE(KeyRange::FromWire(zero, zero).Contains(zero));
  EXPECT_TRUE(KeyRange::FromWire("b", "a").Empty());
}

}  // namespace
}  // namespace coppice::mvcc
