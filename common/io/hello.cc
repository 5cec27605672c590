#include "common/io/hello.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/coding.h"

namespace coppice::io {

const char* RoleName(ProcessRole role) {
  switch (role) {
    case ProcessRole::kVoter:
      return "voter";
    case ProcessRole::kLearner:
      return "learner";
    case ProcessRole::kProxy:
      return "proxy";
  }
  return "unknown";
}

void PutHello(std::string& out, const Hello& hello) {
  PutLe(out, hello.protocol_min);
  PutLe(out, hello.protocol_max);
  PutLe(out, hello.features);
  PutLe(out, hello.cluster_id);
  PutLe(out, hello.node_id);
  PutLe(out, hello.boot_nonce);
  PutLe(out, hello.nonce);
  PutLe(out, hello.directory_id);
  PutLe(out, static_cast<std::uint8_t>(hello.role));
  PutLe(out, static_cast<std::uint8_t>(hello.connection_class));
  PutVarint(out, hello.proof.size());
  out.append(hello.proof);
}

bool ReadHello(std::string_view bytes, Hello& hello) {
  WireReader reader(bytes);
  std::uint8_t role = 0;
  std::uint8_t connection_class = 0;
  std::string_view proof;
  const bool whole = reader.Fixed(hello.protocol_min) && reader.Fixed(hello.protocol_max) &&
                     reader.Fixed(hello.features) && reader.Fixed(hello.cluster_id) &&
                     reader.Fixed(hello.node_id) && reader.Fixed(hello.boot_nonce) &&
                     reader.Fixed(hello.nonce) && reader.Fixed(hello.directory_id) &&
                     reader.Fixed(role) && reader.Fixed(connection_class) && reader.Bytes(proof);
  if (!whole || role < 1 || role > 3 || connection_class < 1 || connection_class > 4) return false;
  hello.role = static_cast<ProcessRole>(role);
  hello.connection_class = static_cast<ConnectionClass>(connection_class);
  hello.proof = proof;
  return true;
}

std::string MakeProof(std::string_view secret, bool acceptor, std::uint64_t dialer_nonce,
                      std::uint64_t acceptor_nonce) {
  if (secret.empty()) return {};
  std::string text = acceptor ? "coppice acceptor" : "coppice dialer";
  PutLe(text, dialer_nonce);
  PutLe(text, acceptor_nonce);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return {reinterpret_cast<const char*>(digest), size};
}

std::string RefusalOf(const Hello& ours, const Hello& theirs) {
  if (theirs.protocol_max < ours.protocol_min || theirs.protocol_min > ours.protocol_max) {
    return fmt::format(
        "speaks transport versions {}..{}, this process {}..{}: upgrade the older one",
        theirs.protocol_min, theirs.protocol_max, ours.protocol_min, ours.protocol_max);
  }
  if (ours.cluster_id != 0 && theirs.cluster_id != 0 && ours.cluster_id != theirs.cluster_id) {
    return fmt::format(
        "has cluster id {:x}, ours is {:x}: it belongs to another cluster (check "
        "--initial-cluster, "
        "--initial-cluster-token and --upstream)",
        theirs.cluster_id, ours.cluster_id);
  }
  return {};
}

}  // namespace coppice::io
