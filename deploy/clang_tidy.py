#!/usr/bin/env python3
"""clang-tidy over the production sources, fast enough for every test run.

    deploy/clang_tidy.py [--build build] [--jobs N] [FILE...]

A file that was clean is not looked at again until it, a header of ours that it includes (through
others too), its compile command or .clang-tidy changes: what was clean is kept by content hash
under BUILD/clang-tidy/. Tests and benchmarks are left out: google-benchmark names its functions
otherwise. Exit 1 if any file has a finding.

Most of the time goes into the headers that sources include. So many sources are looked at together, as
one source that includes them; where that is not clean (a finding, or names that are in each other's
way) each half is looked at, down to the single source.
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
import tempfile

from tidy_source import Tree

FILE_TIMEOUT_S = 300
BATCH_MAX = 32


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


def load_commands(build, folder, root):
    """Compile commands by file, and the folder where clang-tidy finds the cleaned ones. Of a source
    that is compiled twice (for coppice-sim-mutants) the first."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        listed = json.load(f)
    entries = {}
    for entry in listed:
        path = os.path.relpath(os.path.realpath(entry["file"]), root)
        entries.setdefault(path, dict(entry, command=cleaned_command(entry["command"])))
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as f:
        json.dump(list(entries.values()), f)
    return {path: entry["command"] for path, entry in entries.items()}


def digest(tree, path, command, config):
    state = hashlib.sha256()
    ours = sorted(h for h in tree.closure(path) if tree.resolve(h))
    for piece in [command, config] + [tree.text(p) for p in [path] + ours]:
        state.update(piece.encode())
        state.update(b"\0")
    return state.hexdigest()


def lint(tool, folder, path, *options):
    try:
        done = subprocess.run([tool, "--quiet", "-p", folder, *options, path],
                              capture_output=True, text=True, timeout=FILE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False, f"{path}: clang-tidy took more than {FILE_TIMEOUT_S} s"
    return done.returncode == 0, done.stdout + ("" if done.returncode == 0 else done.stderr)


def arguments(command):
    """A compile command in two parts: what decides how a source is understood, and where it finds
    headers, with definitions, which may be more than it needs. Without source, output, optimization."""
    kind, places = [], []
    words = iter(shlex.split(command))
    for word in words:
        if word in ("-c", "-o"):
            next(words)
        elif word == "-isystem":
            places.append((word, next(words)))
        elif word.startswith(("-I", "-D")):
            places.append((word,))
        elif not re.match("-[Og]", word):
            kind.append(word)
    return tuple(kind), places


def shared_command(commands, source):
    """One command for `source`, which includes the sources of these commands."""
    kind = arguments(commands[0])[0]
    places = dict.fromkeys(place for command in commands for place in arguments(command)[1])
    return shlex.join([*kind, *(word for place in places for word in place), "-c", source])


def own_names(text):
    """What a source seems to define outside of functions and classes."""
    lines = re.findall(r"^(?!namespace|using namespace)([a-z][^\n(={;[]*)", text, re.M | re.I)
    return {line.split()[-1] for line in lines if len(line.split()) > 1 and "::" not in line.split()[-1]}


def batches(todo, commands, tree):
    """Files that go together, up to BATCH_MAX at a time, without two that seem to define the same name."""
    groups = {}
    for path in sorted(todo):
        group = groups.setdefault(arguments(commands[path])[0], [])
        names = own_names(tree.text(path))
        for files, taken in group:
            if len(files) < BATCH_MAX and not names & taken:
                files.append(path)
                taken |= names
                break
        else:
            group.append(([path], names))
    return [files for group in groups.values() for files, _ in group]


class Batch:
    """Sources that are looked at together, in a folder of its own."""

    def __init__(self, folder, root, files):
        self.folder, self.root, self.files = folder, root, files

    def write(self, commands):
        """The combined source and its command."""
        os.makedirs(self.folder, exist_ok=True)
        self.source = os.path.join(self.folder, "combined.cc")
        with open(self.source, "w", encoding="utf-8") as f:
            for path in self.files:
                f.write(f'#include "{os.path.join(self.root, path)}"  // NOLINT(bugprone-suspicious-include)\n')
        command = shared_command([commands[path] for path in self.files], self.source)
        with open(os.path.join(self.folder, "compile_commands.json"), "w", encoding="utf-8") as f:
            json.dump([{"directory": self.folder, "command": command, "file": self.source}], f)

    def halves(self):
        middle = len(self.files) // 2
        return [Batch(self.folder + side, self.root, files)
                for side, files in (("l", self.files[:middle]), ("r", self.files[middle:]))]


def lint_batch(tool, folder, batch, commands, headers):
    """[(file, whether it is clean, findings)]"""
    if len(batch.files) == 1:
        return [(path, *lint(tool, folder, os.path.join(batch.root, path))) for path in batch.files]
    batch.write(commands)
    clean, _ = lint(tool, batch.folder, batch.source, "--header-filter=" + headers)
    if clean:
        return [(path, True, "") for path in batch.files]
    return [result for half in batch.halves()
            for result in lint_batch(tool, folder, half, commands, headers)]


def check(args, tree, tool):
    folder = os.path.join(os.path.abspath(args.build), "clang-tidy")
    clean = os.path.join(folder, "clean")
    os.makedirs(clean, exist_ok=True)
    commands = load_commands(args.build, folder, tree.root)
    config = tree.text(".clang-tidy")
    wanted = [f for f in (args.files or tree.cpp())
              if f.endswith(".cc") and not tree.is_test(f) and not f.startswith("bench/")]
    stamps = {}
    for path in wanted:
        if path in commands:
            stamps[path] = os.path.join(clean, digest(tree, path, commands[path], config))
    todo = [p for p, stamp in stamps.items() if not os.path.exists(stamp)]
    groups = batches(todo, commands, tree)
    # The largest first: the last to finish is then a short one.
    groups.sort(key=lambda files: -sum(len(tree.text(p)) for p in files))
    headers = re.search(r"^HeaderFilterRegex: '(.*)\\.h\$'$", config, re.M).group(1) + r"\.(h|cc)$"
    failed = 0
    with tempfile.TemporaryDirectory(prefix="together-", dir=folder) as together, \
            concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = [pool.submit(lint_batch, tool, folder, Batch(os.path.join(together, str(i)), tree.root, files),
                            commands, headers)
                for i, files in enumerate(groups)]
        for done in concurrent.futures.as_completed(runs):
            for path, good, output in done.result():
                if good:
                    open(stamps[path], "w", encoding="utf-8").close()
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
