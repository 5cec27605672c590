#pragma once

#include <string_view>

#include "common/base/consistency.h"
#include "common/base/status.h"

namespace coppice::rpc {
struct Metadata;
}

namespace coppice::api {

// What a request may be served from, by docs/consistency.md: its own coppice-* metadata first, then
// etcd's `serializable` flag, then the listener's default. Metadata that bounds without naming a
// consistency tightens what the flag or the listener chose.
//
// An unknown value, an unknown coppice-* key, a max-staleness that nothing makes bounded, or
// bounded without a bound: InvalidArgument, which names the key and says what is accepted.
Status ResolveConsistency(const rpc::Metadata& metadata, bool serializable,
                          const Consistency& listener_default, Consistency& out);

// A listener's default from its URL's query: "consistency=bounded&max-staleness=500ms". Empty:
// linearizable. InvalidArgument as above.
Status ParseListenerDefault(std::string_view query, Consistency& out);

// "linearizable", ...
std::string_view NameOf(ReadMode mode);

}  // namespace coppice::api
