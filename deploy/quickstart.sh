#!/usr/bin/env bash
# From a bare Debian 12 to a running Coppice on loopback, 5 voters, 5 learners and 2 proxies, and a
# short demonstration of what it does that others do not. Under 15 minutes on two cores, nearly all
# of it the build; a second run takes seconds.
#
#   deploy/quickstart.sh [--no-demo]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

case "${1:-}" in
  "" | --no-demo) ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
# Shows a command as the user would type it, then runs it.
show() {
  local shown="$*"
  shown=${shown/"--endpoints=$proxies"/'--endpoints=$PROXIES'}
  printf '%s$ %s%s\n' "$bold" "$shown" "$plain"
  "$@"
}

logged() {
  local what=$1 log
  shift
  log=$(mktemp)
  note "$what"
  if ! "$@" >"$log" 2>&1; then
    grep -E 'error|FAILED' "$log" | head -n 20 >&2 || true
    tail -n 20 "$log" >&2
    printf 'quickstart: %s failed; its whole output is in %s\n' "$what" "$log" >&2
    exit 1
  fi
  rm -f "$log"
}

title "Packages and build"
"$here/setup.sh"
logged "configuring" cmake --preset release
logged "building (some minutes the first time)" cmake --build build --parallel "$(nproc)" \
  --target coppice-voter coppice-learner coppice-proxy coppicectl

title "A cluster on loopback: 5 voters, 5 learners, 2 proxies"
export PATH="$PWD/build/bin:$PATH"
started=$SECONDS
deploy/local.sh up  # as many as said above, or those that an earlier run left
note "up in $((SECONDS - started)) s"
proxies=$(deploy/local.sh endpoints proxy)
ctl=(coppicectl "--endpoints=$proxies")
[ "${1:-}" != --no-demo ] || exit 0

watch_pid='' watch_log=''
cleanup() {
  [ -z "$watch_pid" ] || kill "$watch_pid" 2>/dev/null || true
  [ -z "$watch_log" ] || rm -f "$watch_log"
}
trap cleanup EXIT

title "Write, and read it back three ways"
note "Clients talk to the proxies: PROXIES=$proxies. --show-served prints the reply's trailers."
show "${ctl[@]}" put demo/colour green
note "linearizable: never older than the moment you asked (a learner confirms with the leader)"
show "${ctl[@]}" get demo/colour --consistency=linearizable --show-served
note "bounded: at most 500 ms old; the learner that has it says how old it was"
show "${ctl[@]}" get demo/colour --consistency=bounded --max-staleness=500ms --show-served
note "serializable: whatever the learner has, at once"
show "${ctl[@]}" get demo/colour --consistency=serializable --show-served
revision=$("${ctl[@]}" put demo/colour blue -w json | sed -n 's/.*"revision":\([0-9]*\).*/\1/p')
note "read your writes without the leader: serializable, but not below the revision you wrote"
show "${ctl[@]}" get demo/colour --consistency=serializable --min-revision="$revision" --show-served

title "A watch through a proxy, while a learner joins and another dies"
watch_log=$(mktemp)
printf '%s$ coppicectl --endpoints=$PROXIES watch demo/ --prefix &%s\n' "$bold" "$plain"
"${ctl[@]}" watch demo/ --prefix --rev "$((revision + 1))" >"$watch_log" &
watch_pid=$!
show "${ctl[@]}" put demo/step "before"
show deploy/local.sh add-learner
show "${ctl[@]}" put demo/step "a sixth learner serves"
show deploy/local.sh kill l1
show "${ctl[@]}" put demo/step "the first learner is dead"
for _ in $(seq 50); do
  [ "$(grep -c '^demo/step' "$watch_log")" -lt 3 ] || break
  sleep 0.1
done
note "what the watch saw: each event once, in order"
cat "$watch_log"
[ "$(grep -c '^demo/step' "$watch_log")" -eq 3 ] || { echo "the watch missed events" >&2; exit 1; }

title "The cluster at a glance"
show "${ctl[@]}" cluster
show deploy/local.sh start l1

title "Yours now"
cat <<END
It is an etcd to any etcd client:
  export ETCDCTL_API=3
  etcdctl --endpoints=$proxies put hello world
  etcdctl --endpoints=$proxies get hello
Voters:   $(deploy/local.sh endpoints voter)
Learners: $(deploy/local.sh endpoints learner)
More:     deploy/local.sh status | kill l2 | pause v3 | logs p1     build/bin/coppicectl --help
Stop it:  deploy/local.sh down
END
