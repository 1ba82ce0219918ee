from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controller import files
from controller.errors import (
    EXIT_CODES,
    CalibrationError,
    DiskFullError,
    ExistsError,
    MixError,
    ReadOnlyError,
    StorageError,
    exit_code,
    hint_of,
)
from dsp.errors import NoAlignment, ShapeError
from hardware.errors import (
    AudioDropoutError,
    AudioUnavailableError,
    DisconnectedError,
    PortNotFoundError,
    ReplyTimeoutError,
    RigError,
    RoomModelError,
    SilentInputError,
)
from profiles.errors import UnknownProfileError

ROOT = Path(__file__).parents[2]


def test_a_replaced_file_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    state = tmp_path / "deep" / "state.json"
    files.replace_text(state, "old")

    def power_cut(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(StorageError, match="input/output error"):
        files.replace_text(state, "new")
    assert state.read_text() == "old"
    assert [p.name for p in state.parent.iterdir()] == ["state.json"]


def test_nothing_is_ever_overwritten(tmp_path):
    files.write_new(tmp_path / "mix.toml", "first")
    with pytest.raises(ExistsError, match="nothing is ever overwritten"):
        files.write_new(tmp_path / "mix.toml", "second")
    (tmp_path / "other").write_text("third")
    with pytest.raises(ExistsError):
        files.move_new(tmp_path / "other", tmp_path / "mix.toml")
    assert (tmp_path / "mix.toml").read_text() == "first"
    assert (tmp_path / "other").read_text() == "third"


def test_a_disk_without_hard_links_keeps_the_same_promise(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    files.write_new(tmp_path / "a", "first")
    with pytest.raises(ExistsError):
        files.write_new(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ([], 1),
        (["0001-analog.wav", "0001-analog.json"], 2),
        (["0009-a.json", "0003-b.json"], 10),
        (["12345-late.json"], 12346),
        (["0004-a.wav", ".partial-0007.wav"], 8),
        (["notes.txt", "7-no.wav", "0x12-no", ".0099-a.wav.1a2b.tmp"], 1),
    ],
)
def test_the_next_number_follows_the_highest_and_the_claims(tmp_path, names, number):
    for name in names:
        (tmp_path / name).touch()
    assert files.next_number(tmp_path) == number


def test_a_folder_that_does_not_exist_begins_at_one(tmp_path):
    assert files.next_number(tmp_path / "calibrations") == 1
    assert files.create_numbered(tmp_path / "calibrations", "calibration.json", "{}").name == "0001-calibration.json"


def test_numbers_are_given_once_however_many_ask(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: files.create_numbered(tmp_path, f"{i}.json", str(i)), range(40)))
    assert len({path.name[:4] for path in made}) == 40
    assert sorted(path.read_text() for path in made) == sorted(map(str, range(40)))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_claim_keeps_its_number_until_it_is_gone(tmp_path):
    number, claim = files.claim_number(tmp_path, ".json", "journal")
    assert (number, claim.name, claim.read_text()) == (1, ".partial-0001.json", "journal")
    assert files.create_numbered(tmp_path, "other.json", "{}").name == "0002-other.json"


def test_the_hash_is_sha256_of_the_bytes(tmp_path):
    # FIPS 180-2, appendix B.1: "abc"
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.content_hash(tmp_path / "abc") == expected


def test_the_hash_follows_the_content(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = files.content_hash(path)
    path.write_bytes(b"other")
    assert files.content_hash(path) != before
    with pytest.raises(StorageError):
        files.content_hash(tmp_path / "absent")


def test_paths_are_relative_below_the_current_folder_only(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert files.relative(Path("song/prints/0001-itb.wav")) == "song/prints/0001-itb.wav"
    assert files.relative(tmp_path / "here" / "song") == "song"
    assert files.relative(tmp_path / "there") == str(tmp_path / "there")
    assert files.relative(Path("../there")) == str(tmp_path / "there")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_as_such():
    full = Path("/dev/full")
    with (
        pytest.raises(DiskFullError, match="no space left") as caught,
        files.storage_errors(full),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    assert caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="needs a file-size limit")
def test_a_limit_reached_in_the_middle_leaves_the_old_file(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from controller import files
from controller.errors import DiskFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.replace_bytes(Path(sys.argv[1]), b"x" * 5000)
except DiskFullError as error:
    print(error)
"""
    path = tmp_path / "state.json"
    path.write_text("old")
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "state.json" in told
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_read_only_folder_is_one_sentence(read_only_folder):
    with pytest.raises(ReadOnlyError, match=r"^cannot write .*x\.json: permission denied$"):
        files.write_new(read_only_folder / "x.json", "{}")
    assert list(read_only_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CalibrationError("stale"), 1),
        (NoAlignment("two songs"), 1),
        (MixError("mix"), 2),
        (DiskFullError("full"), 2),
        (UnknownProfileError("which"), 2),
        (ShapeError("shape"), 2),
        (RigError("rig"), 2),
        (RoomModelError("model"), 2),
        (FileNotFoundError("file"), 2),
        (PortNotFoundError("port"), 3),
        (DisconnectedError("gone"), 3),
        (AudioUnavailableError("jack"), 3),
        (ReplyTimeoutError("late"), 4),
        (AudioDropoutError("lost"), 5),
        (SilentInputError("silent"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_the_exit_code_of_the_contract(error, code):
    assert exit_code(error) == code
    assert code in EXIT_CODES


def test_a_fault_of_the_program_has_no_exit_code():
    assert exit_code(ZeroDivisionError()) is None
    assert hint_of(ZeroDivisionError()) == ""
    assert hint_of(MixError("x", hint="do this")) == "do this"
