#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace coppice {

// Gives T, which derives from Recycled<T>, memory from a free list of the thread, so that objects
// made and destroyed once per request cost no malloc. At most `kKept` unused blocks stay. An object
// may be destroyed on another thread than it was made on: its block then changes lists.
template <typename T, int kKept = 4096>
class Recycled {
 public:
  static void* operator new(std::size_t /*size*/) { return List().Take(); }
  static void operator delete(void* block) { List().Give(block); }

 private:
  struct Free {
    Free* next;
  };
  class FreeList {
   public:
    ~FreeList() {
      while (first_ != nullptr) ::operator delete(std::exchange(first_, first_->next));
    }
    void* Take() {
      static_assert(sizeof(T) >= sizeof(Free) && alignof(T) <= alignof(std::max_align_t));
      if (first_ == nullptr) return ::operator new(sizeof(T));
      --count_;
      return std::exchange(first_, first_->next);
    }
    void Give(void* block) {
      if (count_ == kKept) return ::operator delete(block);
      ++count_;
      first_ = new (block) Free{first_};
    }

   private:
    Free* first_ = nullptr;
    int count_ = 0;
  };
  static FreeList& List() {
    thread_local FreeList list;
    return list;
  }
};

}  // namespace coppice
