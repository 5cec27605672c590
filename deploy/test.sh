#!/usr/bin/env bash
# From a bare Debian 12 to every test passed: set-up, build, unit, end-to-end, format, tidy,
# clang-tidy, and the unit tests again under the sanitizers. `--help` lists steps and options.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/setup.sh"
exec python3 "$here/run_tests.py" "$@"
