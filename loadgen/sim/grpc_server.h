#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/rpc/server.h"
#include "loadgen/sim/process.h"

// gRPC between simulated clients and processes: calls, messages, metadata, deadlines and flow
// control as HTTP/2 gives them, without its bytes. What goes over a connection is a row of items:
// size u32 (of what follows), kind u8, call u32, payload.
namespace coppice::sim {

enum class ItemKind : std::uint8_t {
  kOpen = 1,   // client: the request headers
  kMessage,    // client: one message
  kHalfClose,  // client
  kCancel,     // client
  kCredit,     // client: it has read so many bytes
  kPing,       // client
  kData,       // server: a part of the stream of messages, each with its size u32 in front
  kEnd,        // server: status and trailers
  kPong,       // server
};

struct Item {
  ItemKind kind{};
  std::uint32_t call = 0;
  std::string_view payload;
};
void PutItem(std::string& out, ItemKind kind, std::uint32_t call, std::string_view payload = {});
// Takes the first item off `bytes`; false if there is none.
bool TakeItem(std::string_view& bytes, Item& item);
void PutText(std::string& out, std::string_view text);  // size u32, bytes
std::string_view TakeText(std::string_view& bytes);

constexpr std::size_t kStreamWindow = 64U << 10;  // bytes on their way or unread, per call

// A process's port for clients: each connection stays on one of its loops.
// Thread: the world's; the handlers run in turns of their loop.
class GrpcPort {
 public:
  struct Target {
    LoopSlot* slot = nullptr;
    const std::vector<rpc::MethodSpec>* methods = nullptr;
  };
  GrpcPort(Process& process, std::uint16_t port, std::vector<Target> targets);
  ~GrpcPort();
  GrpcPort(const GrpcPort&) = delete;
  GrpcPort& operator=(const GrpcPort&) = delete;
  std::size_t connections() const { return channels_.size(); }

 private:
  class Channel;
  class ServerCall;

  const std::vector<Target> targets_;
  std::size_t next_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Channel>> channels_;
};

}  // namespace coppice::sim
