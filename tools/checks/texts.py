# SPDX-License-Identifier: Apache-2.0
"""What every file must say and must not say, and where tests stand."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from checks.tree import files, files_under, text

SPDX: Final = "SPDX-License-Identifier: Apache-2.0"
SOURCE_ENDINGS: Final = (
    ".py",
    ".pyi",
    ".cpp",
    ".h",
    ".def",
    ".cmake",
    "CMakeLists.txt",
    ".ci/run",
    ".css",
    ".js",
    ".html",
)
TEXT_ENDINGS: Final = (*SOURCE_ENDINGS, ".md", ".toml", ".json", ".conf", ".txt")
FORBIDDEN: Final = {
    r"\b(TODO|FIXME|XXX|HACK)\b": "unfinished work belongs to an issue",
    r"(?<![\w.])/(work|root|home/\w+)/": "a path of one machine",
    r"\butils?\b\.(py|h|cpp)|\b(helpers|misc|common)\.(py|h|cpp)\b": "a file is named after the one thing that it does",
}
# Hosts that a URL may name: references and name spaces. Nothing is fetched from any of them.
HOSTS: Final = {"127.0.0.1", "localhost", "www.w3.org", "www.apache.org", "arxiv.org", "doi.org", "github.com"}
URL: Final = re.compile(r"https?://([^/\s:\"'`)>\]{}]+)")
THIS_FILE: Final = "tools/checks/texts.py"


def is_source(path: str) -> bool:
    """True for files that carry the licence line: sources and the scripts under tools/."""
    return path.endswith(SOURCE_ENDINGS) or (path.startswith("tools/") and "." not in PurePosixPath(path).name)


def spdx(*, fix: bool) -> list[str]:
    """The licence line stands at the top of every source file."""
    return [
        f"{path}: no line '{SPDX}' at the top"
        for path in files()
        if is_source(path) and text(path).strip() and SPDX not in "".join(text(path).splitlines(keepends=True)[:3])
    ]


def words(*, fix: bool) -> list[str]:
    """Words and hosts that no file holds."""
    complaints = []
    for path in files():
        if path in {THIS_FILE, "LICENSE"} or not (path.endswith(TEXT_ENDINGS) or is_source(path)):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            where = f"{path}:{number}"
            found = ((re.search(pattern, line), why) for pattern, why in FORBIDDEN.items())
            complaints += [f"{where}: {why}: {match.group(0)}" for match, why in found if match]
            hosts = (host for host in URL.findall(line) if "." in host and host.split(":")[0] not in HOSTS)
            complaints += [f"{where}: the host {host} is not in HOSTS of {THIS_FILE}" for host in hosts]
    return complaints


def mirrored_tests(*, fix: bool) -> list[str]:
    """A test stands at the path of what it tests; tests of the whole stand at the top of tests/python or tests/cpp."""
    there = set(files())
    folders = {str(PurePosixPath(path).parent) for path in there}
    complaints = []
    for path in files_under("tests/python", ".py"):
        test = PurePosixPath(path).relative_to("tests/python")
        if not test.name.startswith("test_") or len(test.parts) == 1 or test.parts[0] == "support":
            continue
        subject = (test.parent / test.name.removeprefix("test_")).with_suffix("")
        candidates = [f"{root}{subject}{end}" for root in ("python/edgeml/", "") for end in (".py", ".pyi", "")]
        candidates.append(str(subject).replace("_", "-"))  # a program, tools/build-wheels: no module is named so
        if not any(candidate in there or candidate in folders for candidate in candidates):
            complaints.append(f"{path}: there is no python/edgeml/{subject}.py that it tests")
    for path in files_under("tests/cpp", "_test.cpp"):
        subject = PurePosixPath(path.removesuffix("_test.cpp")).relative_to("tests/cpp")
        if len(subject.parts) == 1:
            continue
        candidates = [f"cpp/src/{subject}.h", f"cpp/src/{subject}.cpp", f"cpp/src/{subject}.def", f"cpp/src/{subject}"]
        if not any(candidate in there or candidate in folders for candidate in candidates):
            complaints.append(f"{path}: there is no cpp/src/{subject}.h that it tests")
    tested = {PurePosixPath(path).parts[2] for path in files_under("tests/python", ".py") if path.count("/") > 2}
    packages = {PurePosixPath(path).parts[2] for path in files_under("python/edgeml", ".py") if path.count("/") > 2}
    complaints += [
        f"missing tests/python/{package}/: python/edgeml/{package} has no test" for package in sorted(packages - tested)
    ]
    return complaints
