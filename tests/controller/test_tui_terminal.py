"""The screen stays clean: what libraries print while the console is up goes to a log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, os, sys, warnings
from pathlib import Path
from controller.tui.terminal import quiet_terminal
with quiet_terminal(Path(sys.argv[1])):
    os.write(2, b"ALSA lib: cannot find card\\n")
    os.system("echo a child talks >&2")
    print("python talks", file=sys.stderr)
    warnings.warn("a warning")
    logging.getLogger("x").warning("a log line")
    sys.__stderr__.write("the screen")
    sys.__stderr__.flush()
sys.stderr.write("afterwards")
"""


@pytest.mark.skipif(os.name != "posix", reason="descriptors are redirected on POSIX only")
def test_noise_goes_to_the_log_and_the_screen_keeps_its_own_descriptor(tmp_path: Path) -> None:
    log = tmp_path / "home" / "console.log"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(log)], capture_output=True, text=True, check=True)
    noise = log.read_text()
    for line in ("ALSA lib", "a child talks", "python talks", "a warning", "a log line"):
        assert line in noise
        assert line not in done.stdout + done.stderr
    assert done.stdout == "the screen"
    assert done.stderr == "afterwards"


@pytest.mark.parametrize("folder", ["empty", "song"])
def test_without_project_or_terminal_it_says_so_and_exits_2(tmp_path: Path, folder: str) -> None:
    from tui_song import make_song

    project = tmp_path / folder
    if folder == "song":
        project = make_song(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "controller", "tui", str(project)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"HALFNORMAL_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 2
    assert ("halfnormal new" if folder == "empty" else "needs a terminal") in done.stderr
    assert "Traceback" not in done.stderr
