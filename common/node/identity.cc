#include "common/node/identity.h"

#include <openssl/sha.h>

#include <algorithm>

#include "common/base/coding.h"

namespace coppice::node {
namespace {

std::uint64_t FirstEightOfSha1(std::string_view text) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return GetBe64(reinterpret_cast<const char*>(digest));
}

}  // namespace

NodeId VoterId(std::vector<std::string> peer_urls, std::string_view cluster_token) {
  std::sort(peer_urls.begin(), peer_urls.end());
  std::string text;
  for (const std::string& url : peer_urls) text += url;
  text += cluster_token;
  return NodeId(FirstEightOfSha1(text));
}

std::uint64_t ClusterId(std::vector<NodeId> voters) {
  std::sort(voters.begin(), voters.end());
  std::string text;
  for (const NodeId voter : voters) PutBe64(text, voter.value());
  return FirstEightOfSha1(text);
}

}  // namespace coppice::node
