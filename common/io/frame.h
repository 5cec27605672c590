#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace coppice::io {

// What travels between Coppice's processes (docs/formats.md). A packet is one write:
//   length u32 (of what follows), crc32c u32 (of the frames), frames
// A frame: length u32 (of its payload), type u8, flags u8, method u16, slot u32, generation u32,
// payload. Little-endian. A stream is named by {slot, generation}; the side that opens it chooses.
constexpr std::size_t kPacketHeaderSize = 8;
constexpr std::size_t kFrameHeaderSize = 16;
constexpr std::size_t kPacketBytesMax = 80U << 20;

enum class FrameType : std::uint8_t {
  kHello = 1,   // first in each direction
  kGoAway = 2,  // no new streams, please: this process is draining
  kPing = 3,    // says that the sender is there; the transport's own
  // Class kRaft
  kRaft = 16,     // raft::EncodeMessage
  kKnownAs = 17,  // u64: the data directory that the acceptor knows the dialer by
  // Class kTail: log tail and ReadIndex
  kTailSubscribe = 32,
  kTailEntries = 33,
  kTailBehind = 34,
  kTailRefused = 35,
  kReadIndex = 36,
  kReadIndexReply = 37,
  kTailState = 38,      // path to the root, commit, newest round: upstream -> subscriber
  kRegistryRenew = 39,  // bundles of renewals, towards the leader
  // Class kRequest: forwarded requests and watches
  kRequest = 64,  // envelope, then the client's protobuf
  kReply = 65,    // response bytes, see the flags; the last one ends in a ReplyTail
  kCredit = 66,   // grants bytes on a stream: u32
  kCancel = 67,
  kWatchCreate = 80,
  kWatchCreated = 81,
  kWatchEvents = 82,
  kWatchCanceled = 83,
  kWatchCancel = 84,
  kWatermark = 85,  // complete through revision, compact revision, auth revision
  kNodeState = 96,  // health, staleness, load, registry version: learner or voter -> proxy
  kRegistry = 97,   // the registry's contents when they change
};

constexpr std::uint8_t kFlagMore = 1;  // this frame's message goes on in the stream's next frame
constexpr std::uint8_t kFlagError =
    2;  // a kReply that failed: gRPC code u8, not-proposed u8, message
constexpr std::uint8_t kFlagTotal = 4;  // the first of several: u64 of the message's size in front

// What a stream's sender may send before the first kCredit, and so what its receiver keeps at most.
constexpr std::size_t kStreamCreditBytes = 256U << 10;

struct StreamId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator==(const StreamId&) const = default;
};

struct Frame {
  FrameType type = FrameType::kHello;
  std::uint8_t flags = 0;
  std::uint16_t method = 0;
  StreamId stream;
  std::string_view payload;
};

// Appends a frame header for `payload_size` bytes that the caller appends next.
void PutFrameHeader(std::string& out, const Frame& frame, std::size_t payload_size);
// Reads one frame at the front of `data` and removes it; false if `data` is malformed.
bool ReadFrame(std::string_view& data, Frame& frame);

// Opens a packet in `out` and returns its offset; ClosePacket fills in length and checksum of all
// that was appended since.
std::size_t OpenPacket(std::string& out);
void ClosePacket(std::string& out, std::size_t offset);

// What the packet at the front of `data` takes, as far as `data` says; 0 if it does not yet.
std::size_t PacketSize(std::string_view data);

enum class PacketError { kOk, kShort, kTooLong, kBadChecksum };
// Reads the packet at the front of `data`: its frames, and the size it takes.
PacketError ReadPacket(std::string_view data, std::string_view& frames, std::size_t& size);

}  // namespace coppice::io
