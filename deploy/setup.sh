#!/usr/bin/env bash
# Installs what Coppice is built, tested and shown with, on Debian 12. As root or through sudo; safe
# to run again: when everything is there it asks dpkg only and touches nothing.
#
#   deploy/setup.sh            install what is missing
#   deploy/setup.sh --check    install nothing; exit 1 and name what is missing
set -euo pipefail

PACKAGES=(
  # The toolchain.
  build-essential cmake ninja-build ccache git ca-certificates
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 lld-14
  # Libraries of the servers.
  libboost-dev libnghttp2-dev librocksdb-dev libabsl-dev libfmt-dev libspdlog-dev libssl-dev
  libprotobuf-dev protobuf-compiler prometheus-cpp-dev libcli11-dev nlohmann-json3-dev
  zlib1g-dev libbz2-dev liblz4-dev libsnappy-dev libzstd-dev libjemalloc-dev
  # The client library's driver, tests and benchmarks.
  libgrpc++-dev protobuf-compiler-grpc libgtest-dev libgmock-dev libbenchmark-dev
  # What the end-to-end tests, the load generator and the plots use.
  etcd-client etcd-server nghttp2-client curl procps iproute2 python3 python3-matplotlib
)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

missing() {
  local status
  for package in "${PACKAGES[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || printf '%s\n' "$package"
  done
}

# Debian starts a daemon as soon as its package is installed: etcd would sit on port 2379. While we
# install, policy-rc.d forbids that; a policy that the machine already has is left alone.
POLICY=/usr/sbin/policy-rc.d
forbid_daemons() {
  [ ! -e "$POLICY" ] || return 0
  printf '#!/bin/sh\nexit 101\n' | "${AS_ROOT[@]}" tee "$POLICY" >/dev/null
  "${AS_ROOT[@]}" chmod 755 "$POLICY"
  trap '"${AS_ROOT[@]}" rm -f "$POLICY"' EXIT
}

install_packages() {
  local log
  log=$(mktemp)
  say "installing ${#wanted[@]} packages: ${wanted[*]}"
  forbid_daemons
  local apt=("${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq)
  if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${wanted[@]}"; } \
      >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get failed; its whole output is in $log"
  fi
  rm -f "$log"
  # Ours to undo only where it was ours to install: no etcd at the next boot either.
  case " ${wanted[*]} " in
    *" etcd-server "*)
      if command -v systemctl >/dev/null; then
        "${AS_ROOT[@]}" systemctl disable --quiet etcd 2>/dev/null || true
      fi ;;
  esac
}

command -v dpkg-query >/dev/null || die "this is not Debian (no dpkg-query); see the list in $0"
mapfile -t wanted < <(missing)
case "${1:-}" in
  --check)
    [ "${#wanted[@]}" -eq 0 ] || die "missing: ${wanted[*]}"
    exit 0 ;;
  "") ;;
  *) die "unknown option '$1'; the only one is --check" ;;
esac
[ "${#wanted[@]}" -gt 0 ] || exit 0

AS_ROOT=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "needs root to install: ${wanted[*]}; run it as root or get sudo"
  AS_ROOT=(sudo)
fi
install_packages
mapfile -t wanted < <(missing)
[ "${#wanted[@]}" -eq 0 ] || die "still missing after apt-get: ${wanted[*]}"
say "done"
