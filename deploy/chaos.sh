#!/usr/bin/env bash
# Faults on real processes under a recorded, checked load; `deploy/chaos.sh --help` says what there is.
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/../loadgen/chaos/main.py" "$@"
