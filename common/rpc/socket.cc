#include "common/rpc/socket.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace coppice::rpc {
namespace {

using boost::asio::ip::tcp;

constexpr std::size_t kReceiveSize = 64U << 10;
constexpr int kReceivesPerTurnMax = 4;
constexpr std::size_t kSendSize = 256U << 10;
constexpr int kSendsPerTurnMax = 8;
// Bytes that the kernel refused: beyond this, reading stops, and the client's sends with it.
constexpr std::size_t kPendingMax = 1U << 20;
constexpr Micros kLinger = kSecond;

// Shared by the connections of a thread: they hold bytes only for the length of a call.
struct Scratch {
  std::array<char, kReceiveSize> in;
  std::string out;
};
Scratch& ThreadScratch() {
  static thread_local const std::unique_ptr<Scratch> kScratch = [] {
    auto scratch = std::make_unique<Scratch>();
    scratch->out.reserve(kSendSize + (32U << 10));
    return scratch;
  }();
  return *kScratch;
}

}  // namespace

template <typename T>
class Socket::WaitAllocator {
 public:
  using value_type = T;
  explicit WaitAllocator(WaitMemory& memory) : memory_(&memory) {}
  template <typename U>
  WaitAllocator(const WaitAllocator<U>& other) : memory_(other.memory_) {}  // NOLINT: rebinding

  T* allocate(std::size_t count) {
    if (!memory_->used && count * sizeof(T) <= sizeof(memory_->bytes)) {
      memory_->used = true;
      return reinterpret_cast<T*>(memory_->bytes);
    }
    return static_cast<T*>(::operator new(count * sizeof(T)));
  }
  void deallocate(T* pointer, std::size_t) {
    if (reinterpret_cast<char*>(pointer) == memory_->bytes) {
      memory_->used = false;
    } else {
      ::operator delete(pointer);
    }
  }
  template <typename U>
  bool operator==(const WaitAllocator<U>& other) const {
    return memory_ == other.memory_;
  }

 private:
  template <typename U>
  friend class WaitAllocator;
  WaitMemory* memory_;
};

template <typename Next>
struct Socket::WaitHandler {
  using allocator_type = WaitAllocator<char>;
  allocator_type get_allocator() const { return allocator_type(*memory); }
  void operator()(const boost::system::error_code& error) {
    if (!error) next(*self);
  }

  std::shared_ptr<Socket> self;
  WaitMemory* memory;
  Next next;
};

Socket::Socket(io::Loop& loop, tcp::socket socket, User& user)
    : loop_(loop), socket_(std::move(socket)), user_(&user) {}

Socket::~Socket() = default;

void Socket::Start() {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  WakeFlush();
  WaitReadable();
}

void Socket::WakeFlush() {
  if (user_ != nullptr) loop_.Wake(*this, io::Loop::Phase::kFlush);
}

void Socket::Close() {
  user_ = nullptr;
  loop_.Forget(*this);
  boost::system::error_code ignored;
  socket_.close(ignored);
  pending_ = std::string();
  pending_sent_ = 0;
}

void Socket::Leave() {
  if (!lingering_) Close();
}

void Socket::Fail(std::string_view reason) {
  User* user = user_;
  const auto self = shared_from_this();
  Close();
  if (user != nullptr) user->OnClosed(reason);
}

void Socket::WaitReadable() {
  if (reading_) return;
  reading_ = true;
  auto next = [](Socket& self) { self.OnReadable(); };
  socket_.async_wait(tcp::socket::wait_read,
                     WaitHandler<decltype(next)>{shared_from_this(), &read_memory_, next});
}

void Socket::WaitWritable() {
  if (writing_) return;
  writing_ = true;
  auto next = [](Socket& self) { self.OnWritable(); };
  socket_.async_wait(tcp::socket::wait_write,
                     WaitHandler<decltype(next)>{shared_from_this(), &write_memory_, next});
}

void Socket::OnReadable() {
  reading_ = false;
  if (lingering_) return Discard();
  if (user_ == nullptr) return;
  Scratch& scratch = ThreadScratch();
  for (int i = 0; i < kReceivesPerTurnMax; ++i) {
    const ssize_t size = ::recv(socket_.native_handle(), scratch.in.data(), kReceiveSize, 0);
    if (size == 0) return Fail("closed by the peer");
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return Fail(std::strerror(errno));
    }
    const auto got = static_cast<std::size_t>(size);
    if (!stopping_ && !user_->OnBytes({scratch.in.data(), got})) stopping_ = true;
    if (user_ == nullptr) return;
    if (stopping_) WakeFlush();
    // Less than was asked for: the kernel has no more, and asking would cost as much as waiting.
    if (got < kReceiveSize) break;
  }
  if (pending_.size() - pending_sent_ < kPendingMax) WaitReadable();
}

void Socket::OnWritable() {
  writing_ = false;
  if (user_ == nullptr) return;
  if (!Flush() || user_ == nullptr) return;
  if (pending_.size() - pending_sent_ < kPendingMax) WaitReadable();
}

void Socket::OnTurn(Time /*now*/) {
  if (user_ != nullptr) Flush();
}

std::ptrdiff_t Socket::Send(std::string_view bytes) {
  while (true) {
    const ssize_t sent =
        ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    const int error = errno;
    Fail(std::strerror(error));
    return -1;
  }
}

bool Socket::SendPending() {
  const std::ptrdiff_t sent = Send(std::string_view(pending_).substr(pending_sent_));
  if (sent < 0) return false;
  pending_sent_ += static_cast<std::size_t>(sent);
  if (pending_sent_ == pending_.size()) {
    pending_ = std::string();
    pending_sent_ = 0;
  } else {
    WaitWritable();
  }
  return true;
}

bool Socket::Flush() {
  if (!pending_.empty() && !writing_ && !SendPending()) return false;
  std::string& out = ThreadScratch().out;
  for (int i = 0; pending_.empty(); ++i) {
    if (i == kSendsPerTurnMax) {
      // Others have their turn first.
      loop_.Post([self = shared_from_this()] { self->WakeFlush(); });
      return true;
    }
    out.clear();
    user_->Produce(out, kSendSize);
    if (user_ == nullptr) return false;
    if (out.empty()) break;
    const std::ptrdiff_t sent = Send(out);
    if (sent < 0) return false;
    if (static_cast<std::size_t>(sent) < out.size()) {
      pending_.assign(out, static_cast<std::size_t>(sent));
      WaitWritable();
    }
  }
  if (!pending_.empty()) {
    if (pending_sent_ > kSendSize) {
      pending_.erase(0, pending_sent_);
      pending_sent_ = 0;
    }
    // Replies go on being framed, so that what the kernel refused is what is counted.
    user_->Produce(pending_, pending_sent_ + kPendingMax);
    return user_ != nullptr;
  }
  if (stopping_ || user_->Finished()) FinishGracefully();
  return user_ != nullptr;
}

// Closing a socket with unread bytes would reset the connection and could take our last words with
// it; so the peer gets our FIN and a moment to close first.
void Socket::FinishGracefully() {
  User* user = user_;
  user_ = nullptr;
  lingering_ = true;
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  WaitReadable();
  loop_.RunAt(loop_.now() + kLinger, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self != nullptr) self->Close();
  });
  user->OnClosed("finished");
}

void Socket::Discard() {
  Scratch& scratch = ThreadScratch();
  const ssize_t size = ::recv(socket_.native_handle(), scratch.in.data(), kReceiveSize, 0);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return WaitReadable();
  Close();
}

}  // namespace coppice::rpc
