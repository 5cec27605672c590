#pragma once

#include <cstdint>
#include <string_view>

namespace coppice {

// CRC32C (Castagnoli, RFC 3720 appendix B.4) of `data`, continuing from `crc` (0 to begin).
// Crc32c(Crc32c(0, a), b) == Crc32c(0, a + b).
std::uint32_t Crc32c(std::uint32_t crc, std::string_view data);

}  // namespace coppice
