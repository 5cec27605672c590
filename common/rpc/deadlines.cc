#include "common/rpc/deadlines.h"

#include <algorithm>

namespace coppice::rpc {

Deadlines::Deadlines(io::Loop& loop, std::function<void(DeadlineNode&)> expired)
    : loop_(loop), expired_(std::move(expired)), next_tick_(loop.now() / kTick) {
  for (DeadlineNode& head : heads_) head.prev = head.next = &head;
}

Deadlines::~Deadlines() {
  if (armed_ != kNever) loop_.Cancel(timer_);
}

void Deadlines::Link(DeadlineNode& head, DeadlineNode& node) {
  node.prev = head.prev;
  node.next = &head;
  head.prev->next = &node;
  head.prev = &node;
}

void Deadlines::Add(DeadlineNode& node, Time due) {
  node.due = due;
  // A tick's nodes are all due by its end.
  const Time tick = std::max(due / kTick + 1, next_tick_);
  Link(heads_[static_cast<std::size_t>(tick) % kTicks], node);
  if (tick < armed_) Arm(tick);
}

void Deadlines::Remove(DeadlineNode& node) {
  if (node.next == nullptr) return;
  node.prev->next = node.next;
  node.next->prev = node.prev;
  node.prev = node.next = nullptr;
}

void Deadlines::Arm(Time tick) {
  if (armed_ != kNever) loop_.Cancel(timer_);
  armed_ = tick;
  timer_ = loop_.RunAt(tick * kTick, [this] { Fire(); });
}

void Deadlines::Fire() {
  armed_ = kNever;
  const Time now = loop_.now();
  DeadlineNode due;
  due.prev = due.next = &due;
  const Time last = now / kTick;
  const Time first = std::max(next_tick_, last - static_cast<Time>(kTicks) + 1);
  next_tick_ = last + 1;
  for (Time tick = first; tick <= last; ++tick) {
    DeadlineNode& head = heads_[static_cast<std::size_t>(tick) % kTicks];
    for (DeadlineNode* node = head.next; node != &head;) {
      DeadlineNode* next = node->next;
      if (node->due <= now) {
        Remove(*node);
        Link(due, *node);
      }
      node = next;
    }
  }
  // What one expiry ends may be another node of this list: it is taken out from the front.
  while (due.next != &due) {
    DeadlineNode& node = *due.next;
    Remove(node);
    expired_(node);
  }
  ArmNext();
}

void Deadlines::ArmNext() {
  for (Time tick = next_tick_; tick < next_tick_ + static_cast<Time>(kTicks); ++tick) {
    const DeadlineNode& head = heads_[static_cast<std::size_t>(tick) % kTicks];
    if (head.next == &head) continue;
    if (tick < armed_) Arm(tick);
    return;
  }
}

}  // namespace coppice::rpc
