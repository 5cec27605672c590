#pragma once

namespace coppice::io {

// CPUs this process may use: the smaller of its affinity mask and its cgroup's quota (v1 or v2),
// rounded up; at least 1.
int UsableCpus();

}  // namespace coppice::io
