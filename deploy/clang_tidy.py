#!/usr/bin/env python3
"""clang-tidy over the production sources, fast enough for every test run.

    deploy/clang_tidy.py [--build build] [--jobs N] [FILE...]

A file that was clean is not looked at again until it, a header of ours that it includes (through
others too), its compile command or .clang-tidy changes: what was clean is kept by content hash
under BUILD/clang-tidy/. Tests and benchmarks are left out: google-benchmark names its functions
otherwise. Exit 1 if any file has a finding.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from tidy_source import Tree

FILE_TIMEOUT_S = 300


def cleaned_command(command):
    """The compiler's own arguments: no ccache in front, no precompiled header of g++ inside."""
    words = shlex.split(command)
    first = next(i for i, w in enumerate(words) if re.search(r"(^|/)(c\+\+|g\+\+|clang\+\+)[-\d]*$", w))
    kept, skip = [], False
    for word, following in zip(words[first:], words[first + 1:] + [""]):
        if skip:
            skip = False
        elif word == "-include" and "cmake_pch" in following:
            skip = True
        elif word not in ("-Winvalid-pch", "-Werror"):
            kept.append(word)
    return shlex.join(kept)


def load_commands(build, folder):
    """Compile commands by file, and the folder where clang-tidy finds the cleaned ones."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        commands = json.load(f)
    for entry in commands:
        entry["command"] = cleaned_command(entry["command"])
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as f:
        json.dump(commands, f)
    return {os.path.realpath(e["file"]): e["command"] for e in commands}


def digest(tree, path, command, config):
    state = hashlib.sha256()
    ours = sorted(h for h in tree.closure(path) if tree.resolve(h))
    for piece in [command, config] + [tree.text(p) for p in [path] + ours]:
        state.update(piece.encode())
        state.update(b"\0")
    return state.hexdigest()


def lint(tool, folder, root, path):
    try:
        done = subprocess.run([tool, "--quiet", "-p", folder, os.path.join(root, path)],
                              capture_output=True, text=True, timeout=FILE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False, f"{path}: clang-tidy took more than {FILE_TIMEOUT_S} s"
    return done.returncode == 0, done.stdout + ("" if done.returncode == 0 else done.stderr)


def check(args, tree, tool):
    folder = os.path.join(os.path.abspath(args.build), "clang-tidy")
    clean = os.path.join(folder, "clean")
    os.makedirs(clean, exist_ok=True)
    commands = load_commands(args.build, folder)
    config = tree.text(".clang-tidy")
    wanted = [f for f in (args.files or tree.cpp())
              if f.endswith(".cc") and not tree.is_test(f) and not f.startswith("bench/")]
    stamps = {}
    for path in wanted:
        command = commands.get(os.path.realpath(os.path.join(tree.root, path)))
        if command:
            stamps[path] = os.path.join(clean, digest(tree, path, command, config))
    todo = [p for p, stamp in stamps.items() if not os.path.exists(stamp)]
    # The largest first: the last to finish is then a short one.
    todo.sort(key=lambda p: -len(tree.closure(p)))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = {pool.submit(lint, tool, folder, tree.root, p): p for p in todo}
        for done in concurrent.futures.as_completed(runs):
            good, output = done.result()
            if good:
                open(stamps[runs[done]], "w", encoding="utf-8").close()
            else:
                failed += 1
                print(output.strip(), flush=True)
    print(f"clang-tidy: {len(stamps)} files, {len(todo)} looked at, {failed} with findings")
    return 1 if failed else 0


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", default=os.path.join(root, "build"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    tool = shutil.which("clang-tidy-14")
    if not tool:
        sys.exit("clang-tidy: no clang-tidy-14 here; deploy/setup.sh installs it")
    if not os.path.exists(os.path.join(args.build, "compile_commands.json")):
        sys.exit(f"clang-tidy: {args.build} is not configured; run cmake --preset release first")
    sys.exit(check(args, Tree(root), tool))


if __name__ == "__main__":
    main()
