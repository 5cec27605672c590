#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::ctl {

// Text as Go programs write it, since coppicectl's output is etcdctl's.

// %q: in double quotes, what is not printable escaped.
std::string Quote(std::string_view bytes);
// Reads one Go string literal ("..." or `...`) at the start of `text` and drops it from there.
bool Unquote(std::string_view& text, std::string& out);
// \x66\x6f\x6f
std::string HexEscape(std::string_view bytes);
std::string Base64(std::string_view bytes);
// "ascend" -> "ASCEND", ASCII only
std::string Upper(std::string text);
// 20480 -> "20 kB" (powers of 1000, as go-humanize's Bytes)
std::string HumanBytes(std::uint64_t bytes);
// time.Duration's String: 1.5ms, 2m3s is never needed
std::string GoDuration(std::int64_t nanos);
// "foo" -> "fop": the end of all keys that begin with `prefix`; "\0" if there is none.
std::string PrefixEnd(std::string_view prefix);

// etcdctl's bordered table: headings centred in capitals, cells to the right.
std::string BorderedTable(const std::vector<std::string>& heads,
                          const std::vector<std::vector<std::string>>& rows);
// Columns separated by two spaces, cells to the left.
std::string PlainTable(const std::vector<std::string>& heads,
                       const std::vector<std::vector<std::string>>& rows);

// Splits a line into words as a shell would: '...' as it is, "..." a Go literal. False: bad
// quoting.
bool SplitWords(std::string_view line, std::vector<std::string>& out);

}  // namespace coppice::ctl
