#include "loadgen/workload.h"

namespace coppice::loadgen {
namespace {

double ReadRatio(const Options& options) {
  switch (options.scenario) {
    case Scenario::kPut:
    case Scenario::kWatch:
      return 0;
    case Scenario::kRange:
      return 1;
    case Scenario::kMixed:
      break;
  }
  return options.read_ratio;
}

}  // namespace

MixedSource::MixedSource(const Options& options)
    : keys_(options.prefix, options.keys, options.distribution, options.seed),
      rng_(options.seed, 1),
      read_ratio_(ReadRatio(options)),
      modes_(options.modes) {}

bool MixedSource::Next(Op& op) {
  op.key = keys_.Draw();
  if (read_ratio_ < 1 && (read_ratio_ == 0 || !rng_.Chance(read_ratio_))) {
    op.kind = OpKind::kPut;
    return true;
  }
  op.kind = OpKind::kGet;
  op.mode = modes_[next_mode_];
  next_mode_ = (next_mode_ + 1) % modes_.size();
  return true;
}

bool SweepSource::Next(Op& op) {
  if (next_ < end_) {
    op.key = next_++;
  } else if (!again_.empty()) {
    op.key = again_.back();
    again_.pop_back();
  } else {
    return false;
  }
  op.kind = kind_;
  op.mode = ReadMode::kLinearizable;
  return true;
}

}  // namespace coppice::loadgen
