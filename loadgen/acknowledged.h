#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace coppice::loadgen {

// C(t) of docs/consistency.md: the highest revision in any response by a time, and which response
// it was. `Source` names a response, and its default nothing.
template <typename Source>
class Acknowledged {
 public:
  struct Highest {
    Revision revision = 0;
    Source source{};
  };

  void Add(Time time, Revision revision, Source source) {
    points_.push_back({time, {revision, source}});
  }
  // After the last Add.
  void Seal() {
    std::stable_sort(points_.begin(), points_.end(),
                     [](const Point& a, const Point& b) { return a.time < b.time; });
    Highest highest;
    for (Point& point : points_) {
      if (point.highest.revision > highest.revision) highest = point.highest;
      point.highest = highest;
    }
  }
  // Of what came strictly before `time`.
  Highest Before(Time time) const {
    const auto it = std::partition_point(points_.begin(), points_.end(),
                                         [time](const Point& p) { return p.time < time; });
    return it == points_.begin() ? Highest() : std::prev(it)->highest;
  }

  // When that revision, or one above it, was first in a response; kNever: in none.
  Time FirstAt(Revision revision) const {
    const auto it =
        std::partition_point(points_.begin(), points_.end(),
                             [revision](const Point& p) { return p.highest.revision < revision; });
    return it == points_.end() ? kNever : it->time;
  }

 private:
  struct Point {
    Time time = 0;
    Highest highest;
  };
  std::vector<Point> points_;
};

}  // namespace coppice::loadgen
