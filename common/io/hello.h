#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace coppice::io {

enum class ProcessRole : std::uint8_t { kVoter = 1, kLearner = 2, kProxy = 3 };
const char* RoleName(ProcessRole role);

// What a connection is for: each class has a connection of its own, so that none waits behind
// another.
enum class ConnectionClass : std::uint8_t { kRaft = 1, kTail = 2, kRequest = 3, kSnapshot = 4 };

// What a process can do besides, a bit each. kFeaturePings: pings when it has nothing to say, so
// that it may be given up when it is silent, and understands pings.
constexpr std::uint32_t kFeaturePings = 1;

// The first frame in each direction. The dialer speaks first and without a proof; the acceptor's
// Hello proves that it knows the secret; the dialer's second Hello proves the same. Without a peer
// secret proofs are empty.
struct Hello {
  std::uint16_t protocol_min = 1;
  std::uint16_t protocol_max = 1;
  std::uint32_t features = kFeaturePings;
  std::uint64_t cluster_id = 0;  // 0: not known yet (a learner or proxy that has never connected)
  std::uint64_t node_id = 0;
  std::uint64_t boot_nonce = 0;  // drawn anew at each start of the process
  std::uint64_t nonce = 0;       // drawn anew for each connection
  // Of a voter among others: drawn when its data directory was made; else 0.
  std::uint64_t directory_id = 0;
  ProcessRole role = ProcessRole::kVoter;
  ConnectionClass connection_class = ConnectionClass::kRequest;
  std::string proof;
};

void PutHello(std::string& out, const Hello& hello);
bool ReadHello(std::string_view bytes,
               Hello& hello);  // false if malformed; unknown tail is skipped

// HMAC-SHA256 over both nonces and the speaker's side; empty if `secret` is empty.
std::string MakeProof(std::string_view secret, bool acceptor, std::uint64_t dialer_nonce,
                      std::uint64_t acceptor_nonce);

// Why a peer that says `theirs` is not to be spoken with, in words for the log; empty if it is.
std::string RefusalOf(const Hello& ours, const Hello& theirs);

}  // namespace coppice::io
