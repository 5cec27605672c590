#!/usr/bin/env python3
"""Builds the libFuzzer programs of fuzz/ (preset `asan-ubsan`) and runs each for a while.

    deploy/fuzz.py [--seconds N] [--jobs N] [--no-build] [NAME...]

Each starts from its seeds, the kept inputs of fuzz/corpus/NAME, and what earlier runs found worth
keeping (build-asan/corpus/NAME). An input that breaks a rule is left in build-asan/found: mend what
it shows, and keep it in fuzz/corpus/NAME, where every build's unit tests replay it. One line a
target, and `N passed, N failed`; exit 1 if any failed.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build-asan")
INPUT_MAX = {"edge": 16384, "transport": 8192, "wal": 4096, "registry": 4096, "keys": 1024,
             "requests": 8192}
# What one input may take: an endless loop and memory without a bound are findings.
LIMITS = ["-timeout=20", "-rss_limit_mb=1500", "-malloc_limit_mb=200"]
# The default schedule weighs the whole corpus after each input, which costs more than running it.
SCHEDULE = ["-entropic=0"]
OPTIONS = {"ASAN_OPTIONS": "allocator_may_return_null=0:detect_stack_use_after_return=0",
           "UBSAN_OPTIONS": "print_stacktrace=1"}


def build(jobs):
    for command in (["cmake", "--preset", "asan-ubsan"],
                    ["cmake", "--build", BUILD, "--parallel", str(jobs), "--target", "fuzzers"]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stdout + f"fuzz: failed: {' '.join(command)}")


def what_broke(output):
    """The report without what libFuzzer says on its way to it."""
    lines = [line for line in output.splitlines() if not re.match(r"#\d+\t|INFO:|\tNEW_FUNC", line)]
    return "\n".join(line[:300] for line in lines[:60])


def fuzz(name, seconds):
    """(whether it ran clean, what to print)"""
    program = os.path.join(BUILD, "bin", "fuzz-" + name)
    grown = os.path.join(BUILD, "corpus", name)
    found = os.path.join(BUILD, "found")
    kept = os.path.join(ROOT, "fuzz", "corpus", name)
    os.makedirs(grown, exist_ok=True)
    os.makedirs(found, exist_ok=True)
    subprocess.run([program, "--write-seeds=" + grown], check=True, timeout=60)
    command = [program, f"-max_total_time={seconds}", f"-max_len={INPUT_MAX[name]}", *LIMITS,
               "-print_final_stats=1", "-reload=0", *SCHEDULE, f"-artifact_prefix={found}/{name}-", grown]
    command += [kept] if os.path.isdir(kept) else []
    try:
        done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, **OPTIONS),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False, timeout=seconds + 120)
    except subprocess.TimeoutExpired:
        return False, f"FAIL {name}: did not end in time"
    if done.returncode != 0:
        return False, f"{what_broke(done.stdout)}\nFAIL {name}: see {found}"
    runs = re.search(r"number_of_executed_units: *(\d+)", done.stdout)
    covered = re.findall(r" cov: (\d+)", done.stdout)
    inputs = len(os.listdir(grown))
    return True, (f"ok   {name}: {int(runs.group(1)) if runs else 0:,} executions, "
                  f"{covered[-1] if covered else '?'} edges, {inputs} inputs")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at once")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("names", nargs="*", help=", ".join(INPUT_MAX))
    args = parser.parse_args()
    unknown = set(args.names) - set(INPUT_MAX)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(INPUT_MAX)}")
    if not args.no_build:
        build(args.jobs)
    programs = {os.path.basename(p)[len("fuzz-"):] for p in glob.glob(BUILD + "/bin/fuzz-*")}
    if programs != set(INPUT_MAX):
        sys.exit(f"fuzz: built are {sorted(programs)}, and expected {sorted(INPUT_MAX)}")
    failed = 0
    names = args.names or list(INPUT_MAX)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for good, said in pool.map(lambda name: fuzz(name, args.seconds), names):
            failed += not good
            print(said, flush=True)
    print(f"{len(names) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
