#!/usr/bin/env python3
"""What a compiler cannot see: the include graph of docs/architecture.md, purity, sizes, registration.

    deploy/tidy.py [--root DIR]

One line for each thing found, `file:line: what [rule]`; exit 1 if there is any.
"""

import argparse
import os
import re
import sys

import tidy_source
from tidy_source import Tree

# Which part may include (and link) which. `loadgen`, `fuzz` and `bench` may use all.
ARROWS = {
    "base": set(),
    "raft": {"base"},
    "io": {"base"},
    "wal": {"io", "base"},
    "mvcc_types": {"base"},
    "mvcc": {"mvcc_types", "base"},
    "mvcc_rocksdb": {"mvcc", "mvcc_types", "base"},
    "replica": {"mvcc", "mvcc_types", "io", "base"},
    "rpc": {"io", "base"},
    "proto": set(),
    # io for rpc's sake, whose interface is in terms of io's loops.
    "api": {"rpc", "io", "mvcc_types", "proto", "base"},
    "client": {"rpc", "proto", "base"},
    # What the three programs share around their own parts: links, flags, requests.
    "node": {"api", "rpc", "replica", "mvcc", "mvcc_types", "io", "proto", "base"},
}
COMMON = set(ARROWS) - {"client"}
ARROWS["voter"] = ARROWS["learner"] = COMMON
# The proxy may use what learners and voters share, as long as no store and no raft comes with it.
ARROWS["proxy"] = COMMON - {"raft", "wal", "mvcc", "mvcc_rocksdb"}
ANY = {"loadgen", "bench", "fuzz"}

# Headers of common/mvcc that say what clients ask for and how events come: all that common/api and
# the proxy may see.
MVCC_TYPES = {"key_range", "ops", "watch_source"}

# Pure parts: same inputs, same outputs. Matched against the path, tests left out.
PURE = re.compile(
    r"common/raft/|common/replica/|"
    r"common/client/(core|types|endpoints|retry|session_revision|watch_resume)[._]|"
    r"common/api/watch_session[._]|proxy/(router|mux|watch_mux)[._]")
IMPURE = re.compile(
    r"(thread|mutex|shared_mutex|condition_variable|future|chrono|ctime|time\.h|random|fstream|"
    r"filesystem|unistd\.h|fcntl\.h|poll\.h|pthread\.h|sys/.*|netinet/.*|arpa/.*|"
    r"boost/asio.*|absl/time/.*|absl/synchronization/.*|common/base/clock\.h|grpc.*|"
    # frame.h and envelope.h are data: how bytes lie on the wire.
    r"common/io/(?!frame\.h|envelope\.h).*)$")

LINES_MAX = 500
LINES_NEVER = 800
FUNCTION_LINES_MAX = 70
# Files over 500 lines, each with its reason.
LONG_FILES = {
    "proto/rpc.proto": "etcd's one file of messages, in etcd's order",
    "proto/etcd/rpc.proto": "etcd's one file of messages, in etcd's order",
}

SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|SleepFor|sleep)\s*\(")
# In pieces, so that this file does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.$}/~-])/(" + "|".join(
    ["work" + "/", "root" + "/", "home" + r"/[a-z_]\w*/", "Users" + r"/\w+/"]) + ")")


def part_of(path):
    """The part of docs/architecture.md that a source file or header belongs to; None: no part."""
    pieces = path.split("/")
    if pieces[0] != "common":
        return pieces[0] if pieces[0] in ARROWS or pieces[0] in ANY else None
    if len(pieces) < 3:
        return None
    if pieces[1] == "mvcc":
        stem = os.path.splitext(pieces[-1])[0]
        if "rocks" in stem or "rocks" in pieces[2]:
            return "mvcc_rocksdb"
        return "mvcc_types" if stem in MVCC_TYPES else "mvcc"
    return pieces[1]


def check_arrows(tree):
    for path in tree.cpp():
        part = part_of(path)
        if part is None or part in ANY:
            continue
        for line, header in tree.includes(path):
            other = part_of(header)
            if other in (None, part) or other in ARROWS[part]:
                continue
            tiers = {"voter", "learner", "proxy"}
            if tree.is_test(path) and other not in tiers | ANY:
                continue  # a test may drive its part through any common one
            if part in ("mvcc", "mvcc_types") and other in ("mvcc", "mvcc_types"):
                continue  # one folder; who links what is for CMake
            yield path, line, f"{part} must not include {other} ({header})", "arrows"


def check_libraries(tree):
    """RocksDB only in mvcc's backend, grpc++ only in the client and in tests, neither in the proxy."""
    for path in tree.cpp():
        part = part_of(path)
        for line, header in tree.includes(path):
            if header.startswith("rocksdb/") and part != "mvcc_rocksdb" and part not in ANY \
                    and not tree.is_test(path):
                yield path, line, f"only mvcc's backend includes RocksDB ({header})", "libraries"
            if re.match(r"grpc(pp|\+\+)?/", header) and part not in ("client", "proto") \
                    and part not in ANY and not tree.is_test(path):
                yield path, line, f"only common/client and tests use grpc++ ({header})", "libraries"
        if part == "proxy" and not tree.is_test(path):
            for header, via in tree.closure(path).items():
                if part_of(header) in ("raft", "mvcc", "mvcc_rocksdb", "wal"):
                    yield path, 1, f"the proxy gets {header} through {via}", "arrows"


def check_pure(tree):
    for path in tree.cpp():
        if not PURE.search(path) or tree.is_test(path):
            continue
        for header, via in sorted(tree.closure(path).items()):
            if IMPURE.match(header):
                what = "" if via == path else f" through {via}"
                yield path, 1, f"a pure part includes <{header}>{what}", "pure"


def _part_of_target(folder, target):
    part = part_of(folder + "/CMakeLists.txt")
    if part == "mvcc":
        return target if target in ("mvcc_types", "mvcc_rocksdb") else "mvcc"
    return part


def check_links(tree):
    targets = tidy_source.targets(tree)
    home = {t.name: _part_of_target(os.path.dirname(t.path), t.name) for t in targets}
    tests = {t.name for t in targets if t.is_test}
    for target in targets:
        if target.name in tests or home[target.name] is None or home[target.name] in ANY:
            continue
        for dep in target.deps:
            what = _wrong_link(target.name, home[target.name], dep, home.get(dep))
            if what:
                yield target.path, target.line, what, "links"
    yield from _proxy_links(targets, home)


def _wrong_link(name, part, dep, other):
    if other and other != part and other not in ARROWS[part]:
        return f"{name} ({part}) must not link {dep} ({other})"
    if "rocksdb" in dep.lower() and other is None and part != "mvcc_rocksdb":
        return f"only mvcc_rocksdb links RocksDB, not {name}"
    grpc = re.search(r"grpc\+\+|grpcpp", dep, re.I) or dep == "coppice_proto_grpc"
    if grpc and part not in ("client", "proto"):
        return f"only common/client and tests link grpc++, not {name}"
    return None


def _proxy_links(targets, home):
    """Nothing that the proxy links may bring raft or a store along."""
    deps = {}
    for target in targets:
        deps.setdefault(target.name, []).extend(target.deps)
    for target in targets:
        if home[target.name] != "proxy" or target.is_test:
            continue
        seen, queue = {target.name}, [target.name]
        while queue:
            for dep in deps.get(queue.pop(), []):
                if dep not in seen:
                    seen.add(dep)
                    queue.append(dep)
        for dep in sorted(seen):
            if home.get(dep) in ("raft", "wal", "mvcc", "mvcc_rocksdb"):
                yield (target.path, target.line,
                       f"{target.name} must not link {dep}, through whatever", "links")


def check_registered(tree):
    for path in tree.files:
        if not path.endswith("_test.cc"):
            continue
        folder, name = os.path.split(path)
        lists = [f for f in tidy_source.cmake_files(tree) if folder.startswith(os.path.dirname(f))]
        if not any(re.search(r"(?<!\w)" + re.escape(name), tree.text(f)) for f in lists):
            yield path, 1, "no CMakeLists.txt names this test: it never runs", "registered"


def check_sleeps(tree):
    for path in tree.files:
        if not path.endswith("_test.cc"):
            continue
        code = tidy_source.blank(tree.text(path))
        for match in SLEEP.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            yield path, line, f"a unit test waits on the wall clock ({match.group(1)})", "sleeps"


def check_file_size(tree):
    for path in tree.files:
        if not path.endswith((".h", ".cc", ".py", ".sh", ".proto")):
            continue
        lines = tree.text(path).count("\n")
        if lines > LINES_MAX and path not in LONG_FILES:
            yield path, lines, f"{lines} lines; over {LINES_MAX} needs a reason in deploy/tidy.py", \
                "file-size"
        elif lines > LINES_NEVER and not path.endswith(".proto"):
            yield path, lines, f"{lines} lines; over {LINES_NEVER} has no excuse", "file-size"


def check_function_size(tree):
    for path in tree.files:
        if path.endswith((".h", ".cc")):
            functions = tidy_source.cpp_functions(tree.text(path))
        elif path.endswith(".py"):
            functions = tidy_source.python_functions(tree.text(path))
        else:
            continue
        for name, line, lines in functions:
            if lines > FUNCTION_LINES_MAX:
                yield path, line, f"{name} has {lines} lines, over {FUNCTION_LINES_MAX}", \
                    "function-size"


def check_machine_paths(tree):
    for path in tree.files:
        if not path.endswith(tidy_source.TEXT) and "." in os.path.basename(path).lstrip("."):
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            match = MACHINE_PATH.search(line)
            if match:
                yield path, number, f"names one machine's path ({match.group(0)})", "machine-path"


def check_executable(tree):
    for path in tree.files:
        script = path.endswith(".sh") or path == ".ci/run" or \
            (path.endswith(".py") and tree.text(path).startswith("#!"))
        if script and not tree.executable(path):
            yield path, 1, "a script that cannot be executed: chmod +x", "executable"


def check_mutants(tree):
    """Sources with switches are compiled once more for coppice-sim-mutants: each must be named there."""
    listed = next((tree.text(f) for f in tree.files if f == "loadgen/sim/CMakeLists.txt"), "")
    for path in tree.cpp():
        if path == "common/base/mutant.h" or not re.search(r"\bCOPPICE_MUTANT\(", tree.text(path)):
            continue
        if path.endswith(".h"):
            yield path, 1, "a switch for mutants in a header: inline code would differ between sources", \
                "mutants"
        elif path not in listed.split() and path + ")" not in listed.split():
            yield path, 1, "has switches for mutants, but loadgen/sim/CMakeLists.txt does not name it", \
                "mutants"


CHECKS = [check_arrows, check_libraries, check_pure, check_links, check_registered, check_sleeps,
          check_file_size, check_function_size, check_machine_paths, check_executable, check_mutants]


def run(root):
    tree = Tree(root)
    return [finding for check in CHECKS for finding in check(tree)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    args = parser.parse_args()
    findings = run(args.root)
    for path, line, what, rule in findings:
        print(f"{path}:{line}: {what} [{rule}]")
    for path, reason in sorted(LONG_FILES.items()):
        if os.path.exists(os.path.join(args.root, path)):
            print(f"note: {path} may be long: {reason}")
    print(f"tidy: {len(CHECKS)} checks, {len(findings)} found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
