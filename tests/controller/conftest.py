"""What the tests of the workflows share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from short_line import Line


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that the test may read and not write, also where the tests run as root. Its parent may be written."""
    if os.name == "nt":
        pytest.skip("needs POSIX permissions")
    parent = Path(tempfile.mkdtemp(prefix="halfnormal-"))
    parent.chmod(0o777)
    folder = parent / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(parent)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A rig on an ideal room inside the program, with a home of its own."""
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return Line(tmp_path)
