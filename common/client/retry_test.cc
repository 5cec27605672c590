#include "common/client/retry.h"

#include <gtest/gtest.h>

namespace coppice::client {
namespace {

Failed With(StatusCode code, std::string_view message, bool not_sent = false) {
  return {1, 1, MakeStatus(code, message), not_sent, false};
}

TEST(Retry, FinalCodesOfAMutationLeaveNothingDone) {
  for (StatusCode code :
       {StatusCode::kInvalidArgument, StatusCode::kFailedPrecondition, StatusCode::kOutOfRange,
        StatusCode::kNotFound, StatusCode::kPermissionDenied, StatusCode::kUnimplemented}) {
    EXPECT_EQ(Judge(Kind::kMutation, With(code, "x")), Verdict::kFinishNotDone);
  }
  EXPECT_EQ(Judge(Kind::kMutation, With(StatusCode::kResourceExhausted,
                                        "etcdserver: mvcc: database space exceeded")),
            Verdict::kFinishNotDone);
}

TEST(Retry, AMutationWhoseReplyIsTooLargeForUsIsUnknown) {
  EXPECT_EQ(Judge(Kind::kMutation, With(StatusCode::kResourceExhausted,
                                        "Received message larger than max (5 vs. 4)")),
            Verdict::kFinishUnknown);
}

TEST(Retry, UnclearCodesOfAMutationAreUnknown) {
  for (StatusCode code :
       {StatusCode::kUnavailable, StatusCode::kDeadlineExceeded, StatusCode::kCancelled,
        StatusCode::kInternal, StatusCode::kUnknown, StatusCode::kAborted, StatusCode::kDataLoss}) {
    EXPECT_EQ(Judge(Kind::kMutation, With(code, "x")), Verdict::kFinishUnknown);
  }
}

TEST(Retry, WhatNeverLeftIsNotDoneWhateverTheCode) {
  EXPECT_EQ(Judge(Kind::kMutation, With(StatusCode::kUnavailable, "x", true)), Verdict::kRepeat);
  EXPECT_EQ(Judge(Kind::kMutation, With(StatusCode::kDeadlineExceeded, "x", true)),
            Verdict::kFinishNotDone);
}

TEST(Retry, AWatchGoesOnAfterAllButWhatJudgesIt) {
  EXPECT_EQ(Judge(Kind::kWatch, {1, 1, OkStatus(), false, false}), Verdict::kRepeat);
  EXPECT_EQ(Judge(Kind::kWatch, With(StatusCode::kInternal, "x")), Verdict::kRepeat);
  EXPECT_EQ(Judge(Kind::kWatch, With(StatusCode::kUnavailable, "x")), Verdict::kRepeat);
  EXPECT_EQ(Judge(Kind::kWatch, With(StatusCode::kPermissionDenied, "x")), Verdict::kFinishNotDone);
}

TEST(Retry, BackoffDoublesToItsMaximumWithinTheUpperHalf) {
  Rng rng(3);
  const BackoffOptions options;
  for (std::uint32_t pass = 1; pass < 40; ++pass) {
    const Micros step = pass > 6 ? kSecond : 25 * kMillisecond << (pass - 1);
    const Micros pause = Backoff(options, pass, rng);
    EXPECT_GE(pause, step / 2);
    EXPECT_LE(pause, step);
  }
}

}  // namespace
}  // namespace coppice::client
