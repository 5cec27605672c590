#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coppice::rpc {

// Byte buffers that calls borrow while they have bytes to hold, so that an idle call holds none and
// a busy one allocates nothing. Thread: its loop's.
class BufferPool {
 public:
  BufferPool() { free_.reserve(kKeptMax); }
  std::string Take() {
    if (!free_.empty()) {
      std::string buffer = std::move(free_.back());
      free_.pop_back();
      return buffer;
    }
    std::string buffer;
    buffer.reserve(kFirstCapacity);
    return buffer;
  }
  void Give(std::string&& buffer) {
    std::string mine = std::move(buffer);
    if (mine.capacity() < kFirstCapacity || mine.capacity() > kCapacityMax) return;
    if (free_.size() == kKeptMax) return;
    mine.clear();
    free_.push_back(std::move(mine));
  }

 private:
  static constexpr std::size_t kFirstCapacity = 512;
  static constexpr std::size_t kCapacityMax = 16U << 10;
  static constexpr std::size_t kKeptMax = 1024;

  std::vector<std::string> free_;
};

// Bytes waiting to leave, in order. Holds a pool's buffer only while it is not empty.
class ByteQueue {
 public:
  std::size_t size() const { return bytes_.size() - head_; }
  const char* data() const { return bytes_.data() + head_; }

  void Append(std::string_view bytes, BufferPool& pool) {
    if (bytes.empty()) return;
    if (bytes_.capacity() < kInline) bytes_ = pool.Take();
    bytes_.append(bytes);
  }
  void Consume(std::size_t count, BufferPool& pool) {
    head_ += count;
    if (head_ == bytes_.size()) {
      Clear(pool);
    } else if (head_ >= kCompactFrom && head_ * 2 >= bytes_.size()) {
      bytes_.erase(0, head_);
      head_ = 0;
    }
  }
  void Truncate(std::size_t left) {
    if (left < size()) bytes_.resize(head_ + left);
  }
  void Clear(BufferPool& pool) {
    head_ = 0;
    if (bytes_.capacity() >= kInline) pool.Give(std::move(bytes_));
    bytes_ = std::string();
  }

 private:
  static constexpr std::size_t kInline = 64;  // above std::string's own room
  static constexpr std::size_t kCompactFrom = 64U << 10;

  std::string bytes_;
  std::size_t head_ = 0;
};

}  // namespace coppice::rpc
