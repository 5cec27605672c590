#include "proxy/member_list.h"

#include <vector>

#include "etcd/rpc.pb.h"

namespace coppice::proxy {

bool ShowProxies(std::span<const std::string_view> response, const replica::Registry& registry,
                 std::string& out) {
  std::vector<std::string> urls;
  for (const auto& [id, node] : registry.nodes()) {
    if (node.registration.role != replica::NodeRole::kProxy) continue;
    urls.insert(urls.end(), node.registration.client_urls.begin(),
                node.registration.client_urls.end());
  }
  if (urls.empty()) return false;
  std::string bytes;
  for (const std::string_view piece : response) bytes += piece;
  etcdserverpb::MemberListResponse list;
  if (!list.ParseFromString(bytes)) return false;
  for (etcdserverpb::Member& member : *list.mutable_members()) {
    if (member.islearner()) continue;
    member.clear_clienturls();
    for (const std::string& url : urls) member.add_clienturls(url);
  }
  return list.SerializeToString(&out);
}

}  // namespace coppice::proxy
