# SPDX-License-Identifier: Apache-2.0
"""The entry point: help, unknown verbs, and a reader of the output that leaves early."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgeml.cli.main import SUMMARIES, main
from support.child import ENVIRONMENT

EDGEML = (sys.executable, "-m", "edgeml.cli.main")


@pytest.mark.parametrize("verb", SUMMARIES)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert "usage: edgeml " + verb in capsys.readouterr().out


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["teleport"])
    assert "invalid choice: 'teleport'" in capsys.readouterr().err


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    process = subprocess.Popen(
        [*EDGEML, "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, "")
