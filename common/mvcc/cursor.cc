#include <algorithm>
#include <utility>

#include "common/mvcc/store_impl.h"

namespace coppice::mvcc {
namespace {

class Pinned {
 public:
  explicit Pinned(const PublishedView& view) : view_(view) { ViewTable::Pin(view_); }
  ~Pinned() { ViewTable::Unpin(view_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  const PublishedView& view() const { return view_; }

 private:
  const PublishedView& view_;
};

// The newest keys in key order: the tree's sums tell the size beforehand, and the answer is taken
// from the records step by step.
class TreeCursor final : public RangeCursor {
 public:
  TreeCursor(const PublishedView& view, const RangeOp& op)
      : pinned_(view), range_(op.range), it_(view.tree()) {
    const Rank extent = Extent(view.tree(), range_);
    count_ = extent.live;
    left_ = op.limit > 0 ? std::min(op.limit, count_) : count_;
    more_ = left_ < count_;
    bytes_ = BytesOf(view.tree(), op, extent);
    it_.Seek(range_.begin);
  }

  Error error() const override { return Error::kNone; }
  std::int64_t count() const override { return count_; }
  bool more() const override { return more_; }
  std::size_t bytes() const override { return bytes_; }
  Revision revision() const override { return pinned_.view().revision; }

  bool Next(std::size_t budget, std::string& out) override {
    const std::size_t until = out.size() + budget;
    for (; left_ > 0 && out.size() < until; it_.Next()) {
      if (!it_.live()) continue;
      AppendFramed(out, kKvsTag, it_.slot().record->encoded());
      --left_;
    }
    return left_ > 0;
  }

 private:
  const Pinned pinned_;
  const KeyRange range_;
  Iterator it_;
  std::int64_t count_;
  std::int64_t left_;
  bool more_;
  std::size_t bytes_;
};

// Of the newest keys in key order, what passes the filters, or without values: a first walk over
// the records tells the size, a second one gives them.
class TwoWalkCursor final : public RangeCursor {
 public:
  TwoWalkCursor(const PublishedView& view, const RangeOp& op)
      : pinned_(view), op_(op), count_(Extent(view.tree(), op.range).live), it_(view.tree()) {
    for (Start(); const Record* record = Found(); it_.Next()) {
      if (op_.limit > 0 && left_ == op_.limit) {
        more_ = true;
        break;
      }
      ++left_;
      bytes_ += FramedSize(Shown(*record));
    }
    Start();
  }

  Error error() const override { return Error::kNone; }
  std::int64_t count() const override { return count_; }
  bool more() const override { return more_; }
  std::size_t bytes() const override { return bytes_; }
  Revision revision() const override { return pinned_.view().revision; }

  bool Next(std::size_t budget, std::string& out) override {
    const std::size_t until = out.size() + budget;
    for (; left_ > 0 && out.size() < until; it_.Next()) {
      AppendFramed(out, kKvsTag, Shown(*Found()));
      --left_;
    }
    return left_ > 0;
  }

 private:
  void Start() { it_.Seek(op_.range.begin); }
  // Moves on to a record that is part of the answer; null behind the last.
  const Record* Found() {
    for (; it_.valid() && !Beyond(op_.range, it_.key()); it_.Next()) {
      if (it_.live() && Passes(op_, *it_.slot().record)) return it_.slot().record;
    }
    return nullptr;
  }
  std::string_view Shown(const Record& record) const {
    return op_.keys_only ? record.encoded_without_value() : record.encoded();
  }

  const Pinned pinned_;
  const RangeOp op_;
  const std::int64_t count_;
  Iterator it_;
  std::int64_t left_ = 0;
  std::size_t bytes_ = 0;
  bool more_ = false;
};

// What has to be looked at in full before the first byte is known: another order, or a revision of
// which records have to be read from the backend.
class BufferedCursor final : public RangeCursor {
 public:
  BufferedCursor(const ReadState& state, const RangeOp& op)
      : revision_(state.revision), error_(ReadRange(state, op, result_)) {}

  Error error() const override { return error_; }
  std::int64_t count() const override { return result_.count; }
  bool more() const override { return result_.more; }
  std::size_t bytes() const override { return result_.kvs.size(); }
  Revision revision() const override { return revision_; }

  bool Next(std::size_t budget, std::string& out) override {
    const std::size_t size = std::min(budget, result_.kvs.size() - given_);
    out.append(result_.kvs, given_, size);
    given_ += size;
    return given_ < result_.kvs.size();
  }

 private:
  const Revision revision_;
  RangeResult result_;
  const Error error_;
  std::size_t given_ = 0;
};

}  // namespace

std::unique_ptr<RangeCursor> StoreImpl::NewCursor(int loop, const RangeOp& op) const {
  const PublishedView& view = views_.Acquire(loop);
  const ReadState state = StateOf(view);
  Revision revision = 0;
  const bool latest =
      AdmitRevision(state, op.revision, revision) == Error::kNone && revision == view.revision;
  const bool by_key = op.sort_target == SortTarget::kKey && op.sort_order != SortOrder::kDescend;
  if (latest && by_key && !op.count_only) {
    if (!op.filtered() && !op.keys_only) return std::make_unique<TreeCursor>(view, op);
    return std::make_unique<TwoWalkCursor>(view, op);
  }
  return std::make_unique<BufferedCursor>(state, op);
}

std::size_t StoreImpl::EstimateBytes(const ReadView& view, const RangeOp& op) const {
  if (op.count_only) return 0;
  const auto& root = *static_cast<const Inner*>(view.root);
  const Rank extent = Extent(root, op.range);
  return InKeyOrder(op) ? BytesOf(root, op, extent) : extent.bytes;
}

}  // namespace coppice::mvcc
