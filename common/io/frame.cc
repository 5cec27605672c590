#include "common/io/frame.h"

#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/base/crc32c.h"

namespace coppice::io {

void PutFrameHeader(std::string& out, const Frame& frame, std::size_t payload_size) {
  char header[kFrameHeaderSize];
  SetLe<std::uint32_t>(header, static_cast<std::uint32_t>(payload_size));
  SetLe<std::uint8_t>(header + 4, static_cast<std::uint8_t>(frame.type));
  SetLe<std::uint8_t>(header + 5, frame.flags);
  SetLe<std::uint16_t>(header + 6, frame.method);
  SetLe<std::uint32_t>(header + 8, frame.stream.slot);
  SetLe<std::uint32_t>(header + 12, frame.stream.generation);
  out.append(header, kFrameHeaderSize);
}

bool ReadFrame(std::string_view& data, Frame& frame) {
  if (data.size() < kFrameHeaderSize) return false;
  const char* p = data.data();
  const std::size_t size = GetLe<std::uint32_t>(p);
  if (data.size() - kFrameHeaderSize < size) return false;
  frame.type = static_cast<FrameType>(p[4]);
  frame.flags = static_cast<std::uint8_t>(p[5]);
  frame.method = GetLe<std::uint16_t>(p + 6);
  frame.stream = {GetLe<std::uint32_t>(p + 8), GetLe<std::uint32_t>(p + 12)};
  frame.payload = data.substr(kFrameHeaderSize, size);
  data.remove_prefix(kFrameHeaderSize + size);
  return true;
}

std::size_t OpenPacket(std::string& out) {
  const std::size_t offset = out.size();
  out.resize(offset + kPacketHeaderSize);
  return offset;
}

void ClosePacket(std::string& out, std::size_t offset) {
  const std::size_t size = out.size() - offset - kPacketHeaderSize;
  COPPICE_CHECK(size <= kPacketBytesMax, "frames are bounded before they are sent");
  char* header = out.data() + offset;
  SetLe<std::uint32_t>(header, static_cast<std::uint32_t>(size));
  SetLe<std::uint32_t>(header + 4, Crc32c(0, {header + kPacketHeaderSize, size}));
}

std::size_t PacketSize(std::string_view data) {
  if (data.size() < kPacketHeaderSize) return 0;
  return kPacketHeaderSize + GetLe<std::uint32_t>(data.data());
}

PacketError ReadPacket(std::string_view data, std::string_view& frames, std::size_t& size) {
  if (data.size() < kPacketHeaderSize) return PacketError::kShort;
  const std::size_t length = GetLe<std::uint32_t>(data.data());
  if (length > kPacketBytesMax) return PacketError::kTooLong;
  size = kPacketHeaderSize + length;
  if (data.size() < size) return PacketError::kShort;
  frames = data.substr(kPacketHeaderSize, length);
  const auto crc = GetLe<std::uint32_t>(data.data() + 4);
  return crc == Crc32c(0, frames) ? PacketError::kOk : PacketError::kBadChecksum;
}

}  // namespace coppice::io
