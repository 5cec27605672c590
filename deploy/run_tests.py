#!/usr/bin/env python3
"""Runs every test of the repository; deploy/test.sh starts it once the packages are there.

A line for each step, and at the end `N passed, N failed`: the unit tests under ASan and UBSan (those
that link grpc++ as released), the end-to-end tests with a short chaos run, the seeds of the
simulator, 40 of them again under ASan and UBSan, the mutants, a minute of each fuzz target, the
tests of threads and the real processes under TSan, one for the format, one for clang-tidy, one for
tidy and one for each of its own tests. Exit 0 only if nothing failed. Logs are in build/test-logs;
the end of a failing step's log is printed.

Time on two cores, cold (no ccache), in seconds, in an hour in which the machine was half as fast as in its best
(the simulator did 3.2 seeds/s, in others 7): build 581 (432 in an hour a little better), scripts 21, simulator
253, end-to-end 323 and clang-tidy beside it 329, mutants 86, ASan+UBSan 860 (of it tests 320, which take a
hundred less since long ones are optimized), TSan 91 and its cluster 153 with fuzzing beside them.
Each step is stopped at its own limit, so that a hang cannot eat the others' time.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
LOGS = os.path.join(BUILD, "test-logs")
# Of the simulator. Those of the first range run under ASan and UBSan too; of the others none begins
# after so many minutes, so that a slow machine does fewer.
SEEDS_TWICE, SEEDS, SEEDS_MINUTES = "1..40", "41..1500", 4
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=0:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Failure(Exception):
    """A step that could not be carried out."""


class Step:
    """One step's log, time limit and count of cases. A step function fills `passed`, `failed`."""

    traces = {}  # of all steps: by folder and seeds, what the simulator's runs hash to

    def __init__(self, name, limit_s, jobs, chosen):
        self.name, self.jobs = name, jobs
        self.chosen = chosen  # the names of all steps of this run
        self.deadline = time.monotonic() + limit_s
        self.passed = self.failed = 0
        self.log_path = os.path.join(LOGS, name + ".log")
        self.log = open(self.log_path, "w", encoding="utf-8", errors="replace")

    def run(self, *command, env=None, output=False):
        """The exit code, or with `output` (exit code, standard output)."""
        self.log.write("$ " + " ".join(command) + "\n")
        self.log.flush()
        left = self.deadline - time.monotonic()
        try:
            done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, **(env or {})), text=True,
                                  timeout=max(left, 1), check=False, errors="replace",
                                  stdout=subprocess.PIPE if output else self.log,
                                  stderr=self.log)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"stopped at its time limit: {' '.join(command)}") from error
        if output:
            self.log.write(done.stdout)
            return done.returncode, done.stdout
        return done.returncode

    def must(self, *command, **options):
        result = self.run(*command, **options)
        if (result[0] if isinstance(result, tuple) else result) != 0:
            raise Failure(f"failed: {' '.join(command)}")
        return result[1] if isinstance(result, tuple) else None

    def count(self, good):
        self.passed += good
        self.failed += not good


def build(step):
    step.must("cmake", "--preset", "release")
    step.must("cmake", "--build", BUILD, "--parallel", str(step.jobs), "--target", "programs",
              *unit_tests(step))


def gtest_cases(output, good):
    """(passed, failed) cases in a GoogleTest's output; a program that died counts as one failed."""
    passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", output, re.M))
    failed = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) test", output, re.M))
    if good:
        return max(passed, 1), 0
    return passed, max(failed, 1)


def run_ctest(step, folder, names=None, env=None):
    report = os.path.join(LOGS, step.name + ".xml")
    chosen = ["-R", "^(" + "|".join(map(re.escape, names)) + ")$"] if names else []
    code = step.run("ctest", "--test-dir", folder, "--parallel", str(step.jobs),
                    "--output-on-failure", "--no-tests=error", "--test-output-size-passed", "9999999",
                    "--test-output-size-failed", "9999999", "--output-junit", report, *chosen,
                    env=env)
    if not os.path.exists(report):
        raise Failure(f"ctest ended with {code} and no report")
    for case in xml.parse(report).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        passed, failed = gtest_cases(output, case.get("status") == "run")
        step.passed += passed
        step.failed += failed


def unit_tests(step):
    """Those that run as released: all, or, where the others run under ASan and UBSan in the same
    run, those that link grpc++ (it is not instrumented: a sanitizer sees errors in it that are
    none). Compiling and running the others twice would not leave time for the rest."""
    names = tests_with(step, BUILD, "unit")
    return [n for n in names if links_grpc(step, BUILD, n)] if "asan-ubsan" in step.chosen else names


def unit(step):
    names = unit_tests(step)
    step.must("cmake", "--build", BUILD, "--parallel", str(step.jobs), "--target", *names)
    run_ctest(step, BUILD, names)


def format_check(step):
    files = step.must("git", "ls-files", "*.h", "*.cc", output=True).split()
    step.count(step.run("clang-format-14", "--dry-run", "-Werror", *files) == 0)


def tidy(step):
    step.count(step.run("python3", "deploy/tidy.py") == 0)
    run_unittest(step, "deploy/tidy_test.py")


def scripts(step):
    run_unittest(step, "deploy/local_test.py")


def run_unittest(step, path):
    code, output = step.run("sh", "-c", f"exec python3 {path} -v 2>&1", output=True)
    step.passed += len(re.findall(r"\.\.\. ok$", output, re.M))
    failed = len(re.findall(r"\.\.\. (?:FAIL|ERROR)$", output, re.M))
    step.failed += failed if code == 0 else max(failed, 1)


def clang_tidy(step):
    """Niced: it runs beside the end-to-end tests, which wait much, and the mutants if it must."""
    step.count(step.run("nice", "-n", "19", "python3", "deploy/clang_tidy.py", "--jobs", str(step.jobs)) == 0)


def run_suite(step, *command):
    """A program that prints its cases and `N passed, N failed`."""
    code, output = step.run(*command, output=True)
    total = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.M)
    passed, failed = map(int, total[-1]) if total else (0, 0)
    step.passed += passed
    step.failed += failed if code == 0 else max(failed, 1)


def end_to_end(step):
    """Each executable in deploy/e2e is a suite."""
    for suite in sorted(glob.glob(os.path.join(ROOT, "deploy/e2e/*"))):
        if os.path.isfile(suite) and os.access(suite, os.X_OK):
            run_suite(step, suite)


def simulator(step):
    """A violation, an abort, a trace that differs, or a coverage line never met fails it."""
    run_seeds(step, BUILD, SEEDS_TWICE)
    first, last = map(int, SEEDS.split(".."))
    run_seeds(step, BUILD, SEEDS, "--minutes", str(SEEDS_MINUTES), "--budget", str(last - first + 1))


def run_seeds(step, folder, seeds, *options, env=None):
    """Counts them, and keeps the hash of all their traces."""
    code, output = step.run(os.path.join(folder, "bin/coppice-sim"), "--seeds", seeds,
                            "--jobs", str(step.jobs), *options, env=env, output=True)
    total = re.findall(r"^(\d+) seeds in .* (\d+) failed, ", output, re.M)
    ran, failed = map(int, total[-1]) if total else (0, 0)
    step.passed += ran - failed
    step.failed += failed if code == 0 else max(failed, 1)
    step.traces[folder, seeds] = re.findall(r", traces ([0-9a-f]+)$", output, re.M)


def mutants(step):
    """One case for each mistake planted in the production's code (docs/correctness.md, Mutants)."""
    step.must("cmake", "--preset", "release")
    step.must("cmake", "--build", BUILD, "--parallel", str(step.jobs), "--target", "coppice-sim-mutants")
    code, output = step.run(os.path.join(BUILD, "bin/coppice-sim-mutants"),
                            "--jobs", str(step.jobs), output=True)
    rows = re.findall(r"^\| (?!mutant )(.*) \|$", output, re.M)
    survivors = sum("SURVIVED" in row for row in rows)
    step.passed += len(rows) - survivors
    step.failed += survivors if code == 0 else max(survivors, 1)


def sanitized(preset, folder, label):
    """The tests with `label`, without those of grpc++ (unit_tests says why)."""
    def run(step):
        step.must("cmake", "--preset", preset)
        names = [n for n in tests_with(step, folder, label) if not links_grpc(step, folder, n)]
        step.must("cmake", "--build", folder, "--parallel", str(step.jobs), "--target", *names)
        run_ctest(step, folder, names, env=SANITIZER_ENV)
    return run


def memory(step):
    """The unit tests under ASan and UBSan, and then the whole cluster in the simulator. Its traces
    are the release build's, though another compiler made it."""
    folder = os.path.join(ROOT, "build-asan")
    sanitized("asan-ubsan", folder, "unit")(step)
    # The fuzzers here, as the step that runs them is niced and would wait for the compilers beside it.
    step.must("cmake", "--build", folder, "--parallel", str(step.jobs), "--target", "coppice-sim",
              *(["fuzzers"] if "fuzz" in step.chosen else []))
    run_seeds(step, folder, SEEDS_TWICE, env=SANITIZER_ENV)
    if (BUILD, SEEDS_TWICE) not in step.traces:
        step.must("cmake", "--preset", "release")
        step.must("cmake", "--build", BUILD, "--parallel", str(step.jobs), "--target", "coppice-sim")
        run_seeds(step, BUILD, SEEDS_TWICE)
    step.count(step.traces[folder, SEEDS_TWICE] == step.traces[BUILD, SEEDS_TWICE] != [])


def tsan_cluster(step):
    """The real processes under TSan (deploy/tsan_cluster.py)."""
    folder = os.path.join(ROOT, "build-tsan")
    step.must("cmake", "--preset", "tsan")
    step.must("cmake", "--build", folder, "--parallel", str(step.jobs), "--target",
              "coppice-voter", "coppice-learner", "coppice-proxy")
    run_suite(step, "deploy/tsan_cluster.py")


def fuzz(step):
    """Niced: it runs beside what TSan watches, which waits much. Three at a time on two cores: each has
    its minute, and two thirds of a core."""
    run_suite(step, "nice", "-n", "5", "deploy/fuzz.py", "--jobs", str(step.jobs * 3 // 2))


def tests_with(step, folder, label):
    """The names of the test programs with this label, in a folder that is configured."""
    def labels(test):
        return next((p["value"] for p in test.get("properties", []) if p["name"] == "LABELS"), [])
    listing = step.must("ctest", "--test-dir", folder, "--show-only=json-v1", output=True)
    return [t["name"] for t in json.loads(listing)["tests"] if label in labels(t)]


def links_grpc(step, folder, target):
    commands = step.must("ninja", "-C", folder, "-t", "commands", target, output=True)
    return "grpc++" in commands.strip().splitlines()[-1]


# Name, what does it, its time limit in seconds.
STEPS = [
    ("build", build, 1200),
    ("format", format_check, 60),
    ("tidy", tidy, 120),
    ("scripts", scripts, 120),
    ("unit", unit, 600),
    ("sim", simulator, 900),
    ("clang-tidy", clang_tidy, 1500),
    ("e2e", end_to_end, 900),
    ("mutants", mutants, 900),
    ("asan-ubsan", memory, 1800),
    ("fuzz", fuzz, 1200),
    ("tsan", sanitized("tsan", os.path.join(ROOT, "build-tsan"), "threads"), 900),
    ("tsan-cluster", tsan_cluster, 900),
]
BESIDE = {"clang-tidy", "fuzz"}  # these run while the next steps do
SANITIZERS = {"asan-ubsan", "tsan", "tsan-cluster"}
SLOW = SANITIZERS | {"clang-tidy", "mutants", "fuzz"}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [name for name, _, _ in STEPS]
    parser.add_argument("--only", action="append", choices=names, metavar="STEP",
                        help="run this step alone (may be repeated): " + ", ".join(names))
    parser.add_argument("--quick", action="store_true",
                        help="leave out " + ", ".join(sorted(SLOW)))
    parser.add_argument("--no-sanitizers", action="store_true",
                        help="leave out " + ", ".join(sorted(SANITIZERS)))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: one per core")
    return parser.parse_args()


def run_step(step, function):
    begun = time.monotonic()
    problem = ""
    try:
        function(step)
    except Failure as error:
        problem = str(error)
        step.failed += 1
    step.log.close()
    took = time.monotonic() - begun
    counts = f"{step.passed} passed" + (f", {step.failed} FAILED" if step.failed else "")
    if not step.passed and not step.failed:
        counts = "done"
    print(f"{step.name:<12} {counts:<28} {took:6.0f} s", flush=True)
    if step.failed:
        print_tail(step.log_path, problem)
    return step


def print_tail(path, problem):
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    telling = [l for l in lines if re.search(r"FAIL|error:|Error|ERROR|\[[a-z-]+\]$", l)][-25:]
    for line in telling + ["..."] + lines[-15:]:
        print("    | " + line[:200])
    if problem:
        print("    " + problem)
    print(f"    the whole log: {os.path.relpath(path, ROOT)}", flush=True)


def run_steps(chosen, jobs):
    done, beside = [], []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for name, function, limit_s in STEPS:
            if name not in chosen:
                continue
            step = Step(name, limit_s, jobs, chosen)
            if name in BESIDE:
                beside.append(pool.submit(run_step, step, function))
                continue
            done.append(run_step(step, function))
            if name == "build" and step.failed:
                break
    return done + [other.result() for other in beside]


def main():
    args = parse_args()
    os.makedirs(LOGS, exist_ok=True)
    left_out = SLOW if args.quick else set()
    left_out |= SANITIZERS if args.no_sanitizers else set()
    chosen = args.only or [name for name, _, _ in STEPS if name not in left_out]
    begun = time.monotonic()
    done = run_steps(chosen, args.jobs)
    passed, failed = sum(s.passed for s in done), sum(s.failed for s in done)
    print(f"took {(time.monotonic() - begun) / 60:.1f} minutes")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
