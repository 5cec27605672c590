#include <benchmark/benchmark.h>

#include "common/node/allocator.h"

int main(int argc, char** argv) {
  coppice::node::UseHugePages();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
