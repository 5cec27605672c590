"""Reads the sources for deploy/tidy.py and deploy/clang_tidy.py: files, includes, functions.

No compiler is needed: C++ is read as text with its comments and literals blanked out.
"""

import ast
import os
import re
import subprocess

CPP = (".h", ".cc")
TEXT = CPP + (".py", ".sh", ".txt", ".cmake", ".md", ".proto", ".json", ".yml", ".yaml", ".html",
              ".svg", ".csv", ".service", ".conf", ".toml")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)', re.M)
_LITERAL = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)


class Tree:
    """One checkout. Paths are relative to its root, with '/'."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.files = sorted(self._list())
        self._known = set(self.files)
        self._text = {}
        self._closure = {}
        self._test_stems = None
        self._includers = None

    def _list(self):
        git = ["git", "-C", self.root, "ls-files", "--cached", "--others", "--exclude-standard"]
        if os.path.exists(os.path.join(self.root, ".git")):
            out = subprocess.run(git, capture_output=True, text=True, check=True).stdout
            return [f for f in out.splitlines() if os.path.isfile(os.path.join(self.root, f))]
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [d for d in folders if not d.startswith("build")]
            found += [os.path.relpath(os.path.join(folder, n), self.root) for n in names]
        return found

    def cpp(self):
        return [f for f in self.files if f.endswith(CPP)]

    def named(self, name):
        return [f for f in self.files if os.path.basename(f) == name]

    def text(self, path):
        if path not in self._text:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
                self._text[path] = f.read()
        return self._text[path]

    def is_test(self, path):
        """Whether a source or header is compiled into tests and what supports them only."""
        if re.search(r"_test\.(cc|h)$", path) or "/testing/" in path:
            return True
        return self._stem_is_test(path) or self._only_tests_include(path)

    def _only_tests_include(self, path):
        """For a header without a source of its own."""
        if not path.endswith(".h") or path[:-2] + ".cc" in self._known:
            return False
        if self._includers is None:
            self._includers = {}
            for source in self.cpp():
                for _, header in self.includes(source):
                    self._includers.setdefault(header, []).append(source)
        users = self._includers.get(path, [])
        return bool(users) and all(re.search(r"_test\.(cc|h)$", u) or "/testing/" in u or
                                   self._stem_is_test(u) for u in users)

    def _stem_is_test(self, path):
        if self._test_stems is None:
            stems = {True: set(), False: set()}
            for target in targets(self):
                stems[target.is_test].update(os.path.splitext(s)[0] for s in target.sources)
            self._test_stems = stems[True] - stems[False]
        return os.path.splitext(path)[0] in self._test_stems

    def executable(self, path):
        return os.access(os.path.join(self.root, path), os.X_OK)

    def includes(self, path):
        """What `path` includes itself: (line, header as written)."""
        text = self.text(path)
        return [(text.count("\n", 0, m.start()) + 1, m.group(1) or m.group(2))
                for m in _INCLUDE.finditer(text)]

    def resolve(self, header):
        """The file of this tree that `header` names, or None for a system or generated one."""
        return header if header in self._known else None

    def closure(self, path):
        """All that `path` pulls in: {header: the file through which it came}."""
        if path not in self._closure:
            seen, queue = {}, [path]
            while queue:
                current = queue.pop()
                for _, header in self.includes(current):
                    if header in seen:
                        continue
                    seen[header] = current
                    if self.resolve(header):
                        queue.append(header)
            self._closure[path] = seen
        return self._closure[path]


_TARGET = re.compile(r"\b(coppice_library|coppice_test|coppice_binary|target_link_libraries)\s*"
                     r"\(\s*([\w.+-]+)([^()]*)\)")


class Target:
    """What one call in a CMakeLists.txt says of a target."""

    def __init__(self, path, text, match):
        self.path, self.name = path, match.group(2)
        self.line = text.count("\n", 0, match.start()) + 1
        words = match.group(3).split()
        self.is_test = match.group(1) == "coppice_test" or "test" in self.name
        if match.group(1) == "target_link_libraries":
            self.sources, self.deps = [], words
            return
        self.deps = words[words.index("DEPS") + 1:] if "DEPS" in words else []
        end = words.index("DEPS") if "DEPS" in words else len(words)
        begin = words.index("SOURCES") + 1 if "SOURCES" in words else end
        folder = os.path.dirname(path)
        self.sources = [os.path.normpath(os.path.join(folder, w)) for w in words[begin:end]]


def cmake_files(tree):
    return [f for f in tree.files if os.path.basename(f) == "CMakeLists.txt"
            or (f.endswith(".cmake") and not f.startswith("cmake/"))]


def targets(tree):
    found = []
    for path in cmake_files(tree):
        text = re.sub(r"#[^\n]*", "", tree.text(path))
        found += [Target(path, text, match) for match in _TARGET.finditer(text)]
    return found


def blank(text):
    """The same text with comments and literals replaced by spaces: lines and columns stay."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return _LITERAL.sub(spaces, text)


def _without_preprocessor(text):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M) \
        if "\\\n" not in text else re.sub(
            r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
            lambda m: "\n" * m.group(0).count("\n"), text, flags=re.M)


def cpp_functions(text):
    """(name, line of the opening brace, lines to the closing one) of each function body.

    A body is what stands in braces, at namespace or class level, behind a parameter list.
    """
    code = _without_preprocessor(blank(text))
    found, stack, header, line = [], [], "", 1
    for char in code:
        if char == "\n":
            line += 1
        if char == "{":
            kind = _brace_kind(header) if not stack or stack[-1][0] in ("scope", "class") else "in"
            stack.append((kind, header, line))
            header = ""
        elif char == "}":
            if not stack:
                break
            kind, before, start = stack.pop()
            header = before + "{}" if kind == "init" else ""
            if kind == "function":
                found.append((_function_name(before), start, line - start + 1))
        elif char == ";" and (not stack or stack[-1][0] in ("scope", "class")):
            header = ""
        else:
            header += char
    return found


def _brace_kind(header):
    head = header.strip()
    if re.search(r"\bnamespace\b[^()]*$", head) or re.search(r"\bextern\s*$", head):
        return "scope"
    if re.search(r"\b(class|struct|union)\b[^()=]*$", head) or \
            re.match(r"(template\s*<.*>\s*)?(class|struct|union)\b(?!.*\)\s*(const|noexcept)*\s*$)",
                     head, re.S):
        return "class"
    if ")" not in head or re.search(r"\benum\b[^()]*$", head):
        return "init"
    # `Foo() : a_` before a brace is a member's initializer; `Foo() : a_{}` before one, the body.
    if re.search(r"\)\s*(noexcept\s*)?:(?!:)", head) and re.search(r"[\w>]$", head) \
            and not re.search(r"\)\s*(const|noexcept|override|final|\s)*$", head):
        return "init"
    return "function"


def _function_name(header):
    match = re.search(r"([\w:~]+(?:\s*operator[^\s(]*)?)\s*\(([^()]*)", header)
    if not match:
        return "lambda"
    if match.group(1) in ("TEST", "TEST_F", "TEST_P"):
        return f"{match.group(1)}({match.group(2)})"
    return match.group(1)


def python_functions(text):
    return [(node.name, node.lineno, node.end_lineno - node.lineno + 1)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
