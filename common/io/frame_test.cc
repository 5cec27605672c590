#include "common/io/frame.h"

#include <gtest/gtest.h>

namespace coppice::io {
namespace {

std::string PacketOf(std::string_view a, std::string_view b) {
  std::string out = "before";
  const std::size_t offset = OpenPacket(out);
  Frame frame;
  frame.type = FrameType::kRequest;
  frame.flags = kFlagMore;
  frame.method = 513;
  frame.stream = {7, 9};
  for (const std::string_view payload : {a, b}) {
    PutFrameHeader(out, frame, payload.size());
    out.append(payload);
  }
  ClosePacket(out, offset);
  return out.substr(offset);
}

TEST(Packet, CarriesItsFramesInOrder) {
  const std::string packet = PacketOf("hello", "");
  std::string_view frames;
  std::size_t size = 0;
  ASSERT_EQ(ReadPacket(packet + "next", frames, size), PacketError::kOk);
  EXPECT_EQ(size, packet.size());
  std::string_view rest = std::string_view(packet).substr(kPacketHeaderSize);
  Frame frame;
  ASSERT_TRUE(ReadFrame(rest, frame));
  EXPECT_EQ(frame.payload, "hello");
  EXPECT_EQ(frame.type, FrameType::kRequest);
  EXPECT_EQ(frame.method, 513);
  EXPECT_EQ(frame.flags, kFlagMore);
  EXPECT_EQ(frame.stream, (StreamId{7, 9}));
  ASSERT_TRUE(ReadFrame(rest, frame));
  EXPECT_EQ(frame.payload, "");
  EXPECT_TRUE(rest.empty());
}

TEST(Packet, EveryPrefixIsShortAndEveryFlippedBitBehindTheLengthIsSeen) {
  const std::string packet = PacketOf("some", "bytes");
  std::string_view frames;
  std::size_t size = 0;
  for (std::size_t cut = 0; cut < packet.size(); ++cut) {
    EXPECT_EQ(ReadPacket(std::string_view(packet).substr(0, cut), frames, size),
              PacketError::kShort);
  }
  for (std::size_t bit = 32; bit < packet.size() * 8; ++bit) {
    std::string bad = packet;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(ReadPacket(bad, frames, size), PacketError::kBadChecksum) << bit;
  }
}

TEST(Packet, ALengthOverTheLimitIsRefusedBeforeItsBytesArrive) {
  std::string_view frames;
  std::size_t size = 0;
  EXPECT_EQ(ReadPacket("GET / HTTP/1.1", frames, size), PacketError::kTooLong);
}

TEST(Frame, OneThatEndsOutsideItsPacketIsMalformed) {
  std::string bytes;
  PutFrameHeader(bytes, Frame(), 10);
  bytes += "123456789";
  std::string_view data = bytes;
  Frame frame;
  EXPECT_FALSE(ReadFrame(data, frame));
}

}  // namespace
}  // namespace coppice::io
