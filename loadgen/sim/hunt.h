#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "loadgen/sim/jobs.h"
#include "loadgen/sim/mutants.h"

namespace coppice::sim {

struct HuntOptions {
  std::uint64_t budget = 300;  // seeds for a mutant
  std::uint64_t more = 0;      // beyond the first that kills, to meet other checkers
  bool from_one = false;       // without the seed that is known to kill
};

// One mutant's seeds, one after the other. A seed kills it if a checker whose business this mistake
// is complains of it, while without the mistake the same seed passes.
// Pure; the planted mutant and the options outlive it.
class Hunt {
 public:
  struct Run {
    std::uint64_t seed = 0;
    bool control = false;  // without the mistake
  };

  Hunt(const Planted& planted, const HuntOptions& options);

  const Planted& planted() const { return planted_; }
  bool busy() const { return busy_; }  // a run that Next gave has no result yet
  bool over() const { return over_; }
  bool killed() const { return !killed_by_.empty(); }
  const std::set<std::string>& killed_by() const { return killed_by_; }
  std::uint64_t seeds() const { return killed() ? needed_ : tried_; }  // up to the first kill
  std::uint64_t killer() const { return killer_; }                     // the first seed that killed
  std::uint64_t unfit() const { return unfit_; }  // seeds that fail without the mistake, too

  Run Next();  // requires: neither busy nor over
  void Done(const SeedResult& result);

 private:
  bool Counts(const std::set<std::string>& names) const;
  void Tried();

  const Planted& planted_;
  const HuntOptions& options_;
  Run run_;
  bool busy_ = false;
  bool over_ = false;
  std::uint64_t next_seed_ = 1;
  std::uint64_t tried_ = 0;
  std::uint64_t needed_ = 0;
  std::uint64_t killer_ = 0;
  std::uint64_t unfit_ = 0;
  std::set<std::string> found_;  // of the seed that waits for its control
  std::set<std::string> killed_by_;
};

// What complained in a run: checkers by their property's name, "aborts: WHY" for an invariant of
// the production's code or of raft's, "hangs", "crashes: HOW".
std::set<std::string> Complaints(const SeedResult& result);

}  // namespace coppice::sim
