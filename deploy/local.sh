#!/usr/bin/env bash
# A Coppice cluster on loopback; `deploy/local.sh --help` lists its commands.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/local.py" "$@"
