#include "common/base/entry.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

TEST(Entry, RoundTripsAndLeavesWhatFollows) {
  const EntryPtr made = Entry::Make(Term(7), Index(42), RecordKind::kCommand, "payload");
  const std::string bytes = std::string(made->record()) + "rest";
  std::string_view data = bytes;
  EntryPtr read;
  ASSERT_EQ(Entry::Read(data, read), RecordError::kOk);
  EXPECT_EQ(read->term(), Term(7));
  EXPECT_EQ(read->index(), Index(42));
  EXPECT_EQ(read->kind(), RecordKind::kCommand);
  EXPECT_EQ(read->payload(), "payload");
  EXPECT_EQ(data, "rest");
}

TEST(Entry, AnyFlippedBitIsSeen) {
  const EntryPtr made = Entry::Make(Term(1), Index(2), RecordKind::kCommand, "value");
  for (std::size_t bit = 0; bit < made->record().size() * 8; ++bit) {
    std::string bytes(made->record());
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    std::string_view data = bytes;
    EntryPtr read;
    EXPECT_NE(Entry::Read(data, read), RecordError::kOk) << bit;
    EXPECT_EQ(data.size(), bytes.size());
  }
}

TEST(Entry, EveryPrefixIsShort) {
  const EntryPtr made = Entry::Make(Term(1), Index(2), RecordKind::kCommand, "value");
  for (std::size_t cut = 0; cut < made->record().size(); ++cut) {
    std::string_view data = made->record().substr(0, cut);
    EntryPtr read;
    EXPECT_EQ(Entry::Read(data, read), RecordError::kShort) << cut;
  }
}

}  // namespace
}  // namespace coppice
