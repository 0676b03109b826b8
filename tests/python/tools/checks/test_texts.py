# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from checks import texts
from support.fake_tree import use_tree

SPDX = f"# {texts.SPDX}\n"


def test_source_without_a_licence_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {
        "python/edgeml/a.py": "x = 1\n",
        "python/edgeml/b.py": SPDX,
        "docs/c.md": "text\n",
        "tools/d": "#!/bin/sh\n",
    }
    use_tree(monkeypatch, texts, tree)
    assert [c.split(":")[0] for c in texts.spdx(fix=False)] == ["python/edgeml/a.py", "tools/d"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# " + "TO" + "DO: later", "unfinished"),
        ("open('/" + "root/x')", "one machine"),
        ("see https://" + "example.org/page", "example.org"),
    ],
)
def test_forbidden_text_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch, line: str, expected: str) -> None:
    use_tree(monkeypatch, texts, {"python/edgeml/a.py": f"{SPDX}{line}\n"})
    (complaint,) = texts.words(fix=False)
    assert complaint.startswith("python/edgeml/a.py:2: ")
    assert expected in complaint


def test_allowed_hosts_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tree(monkeypatch, texts, {"docs/a.md": "http://127.0.0.1:8080/books, http://localhost/x\n"})
    assert texts.words(fix=False) == []


def test_test_without_a_subject_and_package_without_a_test_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = dict.fromkeys(
        (
            "python/edgeml/fleet/drift.py",
            "python/edgeml/device/spool.py",
            "tests/python/fleet/test_drift.py",
            "tests/python/fleet/test_drfit.py",
            "tests/python/test_whole.py",
            "tools/build-wheels",
            "tests/python/tools/test_build_wheels.py",
            "tests/python/tools/test_no_program.py",
            "cpp/src/base/crc.h",
            "tests/cpp/base/crc_test.cpp",
            "tests/cpp/base/crc32_test.cpp",
        ),
        "",
    )
    use_tree(monkeypatch, texts, tree)
    names = [complaint.split(":")[0] for complaint in texts.mirrored_tests(fix=False)]
    assert names == [
        "tests/python/fleet/test_drfit.py",
        "tests/python/tools/test_no_program.py",
        "tests/cpp/base/crc32_test.cpp",
        "missing tests/python/device/",
    ]
