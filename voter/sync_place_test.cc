#include "voter/sync_place.h"

#include <gtest/gtest.h>

namespace coppice::voter {
namespace {

TEST(SyncPlace, AQuickDiskIsSyncedOnTheLoop) {
  SyncPlace place({});
  Time now = 0;
  for (int i = 0; i < 100; ++i) place.Took(now += 100, 900);
  EXPECT_FALSE(place.Apart(now));
}

TEST(SyncPlace, ASlowDiskIsSyncedApart) {
  SyncPlace place({});
  Time now = 0;
  int syncs = 0;
  for (; !place.Apart(now) && syncs < 100; ++syncs) place.Took(now += 1200, 1200);
  EXPECT_GT(syncs, 16) << "some slow ones are no slow disk";
  EXPECT_TRUE(place.Apart(now));
}

TEST(SyncPlace, OneLongSyncIsEnough) {
  SyncPlace place({});
  place.Took(kSecond, 10 * kMillisecond);
  EXPECT_FALSE(place.Apart(kSecond));
  place.Took(kSecond, 10 * kMillisecond + 1);
  EXPECT_TRUE(place.Apart(kSecond));
}

TEST(SyncPlace, ItComesBackOnceTheDiskHasBeenQuickForAWhile) {
  SyncPlace place({});
  place.Took(kSecond, 11 * kMillisecond);
  for (Time now = kSecond; now < 20 * kSecond; now += kMillisecond) place.Took(now, 100);
  EXPECT_TRUE(place.Apart(30 * kSecond));
  EXPECT_FALSE(place.Apart(32 * kSecond));
}

TEST(SyncPlace, WithCoresForItItIsAlwaysApart) {
  EXPECT_TRUE(SyncPlace({.always_apart = true}).Apart(0));
  EXPECT_FALSE(SyncPlace({}).Apart(0));
}

}  // namespace
}  // namespace coppice::voter
