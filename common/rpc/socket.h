#pragma once

#include <utility>
// Boost.Asio 1.74 needs <utility> before it.
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/io/loop.h"

namespace coppice::rpc {

// A connected socket on a loop: reads when there is something, sends once at the end of each turn
// in which it was woken, waits only for what the kernel has refused. Thread: the loop's.
class Socket final : public io::TurnTask, public std::enable_shared_from_this<Socket> {
 public:
  // The protocol spoken. Outlives the socket's closing (OnClosed or Close).
  class User {
   public:
    virtual ~User() = default;
    // Bytes came. Returns false if no more are wanted: what Produce has is sent, then closed.
    virtual bool OnBytes(std::string_view bytes) = 0;
    // Appends what is to be sent, up to about `size_max` bytes of `out`.
    virtual void Produce(std::string& out, std::size_t size_max) = 0;
    // Nothing is left to read or write: the connection can be closed. Asked after each flush.
    virtual bool Finished() = 0;
    // The peer has closed, the connection failed, or it was finished. The user may be deleted by
    // this.
    virtual void OnClosed(std::string_view reason) = 0;
  };

  Socket(io::Loop& loop, boost::asio::ip::tcp::socket socket, User& user);
  ~Socket() override;

  void Start();
  void WakeFlush();
  void Close();  // at once, without OnClosed
  // The user is gone: closes, but for a connection that ended in order, which gives the peer a
  // moment to read our last words.
  void Leave();
  void OnTurn(Time now) override;

 private:
  // Where a pending wait keeps its state: asking again allocates nothing.
  struct WaitMemory {
    alignas(std::max_align_t) char bytes[192];
    bool used = false;
  };
  template <typename T>
  class WaitAllocator;
  template <typename Next>
  struct WaitHandler;

  void WaitReadable();
  void WaitWritable();
  void OnReadable();
  void OnWritable();
  bool Flush();  // false: closed
  bool SendPending();
  std::ptrdiff_t Send(std::string_view bytes);  // -1: failed
  void Fail(std::string_view reason);
  void FinishGracefully();
  void Discard();

  io::Loop& loop_;
  boost::asio::ip::tcp::socket socket_;
  User* user_;  // null once closed
  std::string pending_;
  std::size_t pending_sent_ = 0;
  bool reading_ = false;    // a wait is out
  bool writing_ = false;    // a wait is out: the kernel's buffer was full
  bool stopping_ = false;   // no more bytes are wanted
  bool lingering_ = false;  // our FIN is sent, the user gone; the rest is thrown away
  WaitMemory read_memory_;
  WaitMemory write_memory_;
};

}  // namespace coppice::rpc
