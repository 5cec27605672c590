#!/usr/bin/env bash
# From a bare Debian 12 to every test passed: set-up, build, and the steps of run_tests.py, which
# `--help` lists with the options.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/setup.sh"
exec python3 "$here/run_tests.py" "$@"
