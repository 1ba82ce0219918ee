"""Snapshots on file: photos, three lists of difference, and files that are not what they should be.

Fader levels are positions of the virtual desk's published scale (docs/devices/room-desk-24.md, section 3): straight in
dB from position 48 (−40 dB) to 104 (−20 dB) to 144 (−10 dB).
"""

from __future__ import annotations

import json
import math
import string
from pathlib import Path
from typing import Any

import pytest
from cli_line import ROOT, Line
from hypothesis import given
from hypothesis import strategies as st
from snapshot_line import AT, PNG, known, names, of, taken

from controller import files
from controller.errors import StorageError, UsageError
from controller.snapshot_diff import diff
from controller.snapshot_photo import picture_suffix, put_photos, read_photo
from controller.snapshots import SnapshotError, find, list_folder, load, store, target_of, to_json
from controller.studio import Studio
from hardware.known import Known

HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 40


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(tmp_path, monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


# Photos


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (PNG, ".png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", ".jpg"),
        (b"\xff\xd8\xff\xe1\x00\x10Exif", ".jpg"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", ".webp"),
        (HEIC, ".heic"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ".heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", None),
        (b"RIFF\x24\0\0\0WAVEfmt ", None),
        (b"GIF89a", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_a_photo_is_told_by_its_first_bytes(data: bytes, suffix: str | None) -> None:
    assert picture_suffix(data) == suffix


def test_a_photo_is_kept_once_under_its_content_hash(line: Line, folder: Path) -> None:
    picture = folder.parent / "IMG_1.JPEG"
    picture.write_bytes(HEIC)
    for _ in range(2):
        snapshot = store(of({}), folder, photos={"desk": [read_photo(picture)]})
    (photo,) = snapshot.devices["desk"].photos
    assert photo.hash == files.content_hash(picture)
    assert photo.file == f"photos/{photo.hash.removeprefix('sha256:')}.heic"
    assert photo.name == "IMG_1.JPEG"
    assert (folder / photo.file).read_bytes() == HEIC
    assert names(folder) == ["0001.json", "0002.json", photo.file]


def test_a_file_that_is_no_photo_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "desk.png"
    other.write_bytes(b"a text that somebody renamed")
    with pytest.raises(UsageError, match=r"desk\.png is no photo") as caught:
        read_photo(other)
    assert caught.value.hint
    with pytest.raises(UsageError, match=r"no photo .*absent"):
        read_photo(tmp_path / "absent.jpg")


def test_a_kept_photo_that_somebody_changed_is_not_taken_for_the_photo(tmp_path: Path, folder: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)
    photo = read_photo(picture)
    put_photos(folder, [photo], [])
    (folder / photo.photo.file).write_bytes(PNG + b"retouched")
    with pytest.raises(StorageError, match="no longer the photo"):
        put_photos(folder, [photo], [])
    assert (folder / photo.photo.file).read_bytes() == PNG + b"retouched"


# Difference


def test_a_difference_has_three_lists() -> None:
    left = of({"desk/ch01/fader": known(-20.0), "desk/ch02/fader": known(-10.0), "desk/ch04/mute": known(False)})
    right = of({"desk/ch01/fader": known(-20.0), "desk/ch03/fader": known(-10.0), "desk/ch04/mute": known(True)})
    found = diff(left, right)
    assert (list(found.only_left), list(found.only_right)) == (["desk/ch02/fader"], ["desk/ch03/fader"])
    assert [(c.address, c.left.known.value, c.right.known.value) for c in found.changed] == [
        ("desk/ch04/mute", False, True)
    ]
    assert (found.same, found.differs) == (1, True)


@pytest.mark.parametrize(
    ("address", "a", "b", "same"),
    [
        ("desk/ch01/fader", -20.0, -20.05, True),  # positions are 0.25 dB apart above −20 dB, 0.36 dB below
        ("desk/ch01/fader", -20.0, -19.75, False),
        ("desk/ch01/fader", -20.0, -20.36, False),
        ("desk/ch01/fader", -math.inf, -80.0, False),
        ("desk/ch01/fader", -math.inf, -math.inf, True),
        ("desk/ch01/trim", 3.0, 3.1, True),  # a pot of 30 dB over 300°: 1° is more than a hand can tell
        ("desk/ch01/trim", 3.0, 3.5, False),
        ("desk/ch01/mute", True, 1.0, False),
        ("desk/ch01/gone", 3.0, 3.0, True),  # a control that the profile does not have (any more)
        ("desk/ch01/gone", 3.0, 3.0000001, False),
        ("tape/speed", 15.0, 15.0, True),  # a device of no profile
    ],
)
def test_values_are_the_same_within_the_controls_own_step(address: str, a: Any, b: Any, same: bool) -> None:
    for left, right in ((a, b), (b, a)):
        assert diff(of({address: known(left)}), of({address: known(right)})).differs is not same


def test_an_assumed_value_counts_as_unknown() -> None:
    left, right = of({"desk/ch01/trim": known(1.0, "assumed")}), of({"desk/ch01/trim": known(1.0, "by-hand")})
    assert list(diff(left, right).only_right) == ["desk/ch01/trim"]
    assert not diff(left, left).differs


@pytest.mark.parametrize("profile", ["room-comp", "a-desk-nobody-knows"])
def test_where_the_profile_is_in_doubt_values_are_compared_exactly_and_that_is_said(profile: str) -> None:
    left = of({"desk/ch01/fader": known(-20.0)})
    right = of({"desk/ch01/fader": known(-20.05)}, profile=profile)
    found = diff(left, right)
    assert [change.address for change in found.changed] == ["desk/ch01/fader"]
    assert [remark.where for remark in found.remarks] == ["desk"]


def test_a_snapshot_of_a_device_that_has_left_the_rig_still_lists_and_compares(line: Line, folder: Path) -> None:
    def sent(studio: Studio) -> None:
        studio.remember({"comp/threshold": known(-4.0, "sent")})

    before = taken(folder, prepare=sent).snapshot
    rig = line.home / "rigs" / "small.toml"
    head, _, rest = rig.read_text().partition('[[device]]\nname = "comp"')
    rig.write_text(head + rest[rest.index("[[device]]") : rest.index("[[insert]]")])
    after = taken(folder).snapshot
    assert "comp" not in after.devices
    assert len(list_folder(folder).snapshots) == 2
    found = diff(find(folder, 1), find(folder, 2))
    assert list(found.only_left) == ["comp/threshold"]
    assert not (found.only_right or found.changed)
    assert target_of(before)["comp/threshold"] == -4.0


def test_a_snapshot_of_a_control_that_a_newer_profile_dropped_still_compares(line: Line, folder: Path) -> None:
    def sent(studio: Studio) -> None:
        studio.remember({"comp/makeup": known(3.0, "sent"), "comp/ratio": known(4.0, "sent")})

    before = taken(folder, prepare=sent, read=False).snapshot
    shipped = ROOT / "profiles" / "outboard" / "room-comp.toml"
    own = line.home / "profiles" / "room-comp.toml"
    own.parent.mkdir()
    text = shipped.read_text("utf-8")
    own.write_text(
        text.replace('name = "makeup"', 'name = "output"').replace('control = "makeup"', 'control = "output"')
    )
    after = taken(folder, read=False).snapshot
    assert "comp/makeup" not in after.controls
    found = diff(before, after, profile_folders=[own.parent])
    assert list(found.only_left) == ["comp/makeup"]
    assert not diff(before, before, profile_folders=[own.parent]).differs
    assert any("has changed since" in remark.what for remark in found.remarks)


# Files that are not what they should be


def broken(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "0003.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 2}, "newer Halfnormal (schema 2"),
        ({"kind": "print"}, "is no snapshot"),
        (
            {"controls": {"desk/ch01/fader": {"value": None, "how": "sent", "at": AT}}},
            "damaged: desk/ch01/fader has no value",
        ),
        (
            {"controls": {"desk/ch01/fader": {"value": 1, "how": "felt", "at": AT}}},
            "damaged: Invalid enum value 'felt'",
        ),
        ({"controls": []}, "damaged: Expected `object`"),
        ({"number": 0}, "damaged: its number is 0"),
        ({"number": 4}, "is snapshot 4 under another name"),
        ({"schema": "1"}, "is no snapshot"),
    ],
)
def test_a_file_that_is_wrong_is_told_in_a_sentence_and_left_as_it_is(
    folder: Path, change: dict[str, Any], sentence: str
) -> None:
    good = json.loads(to_json(of({})))
    path = broken(folder, json.dumps({**good, "number": 3, **change}))
    store(of({}), folder)
    before = path.read_bytes()
    listing = list_folder(folder)
    assert [snapshot.number for snapshot in listing.snapshots] == [4]
    (problem,) = listing.problems
    assert "0003.json" in str(problem)
    assert sentence in str(problem)
    assert problem.hint
    with pytest.raises(SnapshotError):
        find(folder, 3)
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe{", PNG, b'{"schema": 1}', b"[" * 100_000])
def test_a_file_that_is_none_of_ours_is_no_snapshot(folder: Path, data: bytes) -> None:
    with pytest.raises(SnapshotError, match=r"0003\.json is (no snapshot|damaged)"):
        load(broken(folder, data))


def test_a_number_that_is_not_there_names_those_that_are(folder: Path) -> None:
    with pytest.raises(SnapshotError, match="holds no snapshot"):
        find(folder)
    for _ in range(4):
        store(of({}), folder)
    (folder / "0003.json").unlink()
    with pytest.raises(SnapshotError, match="has no snapshot 9; there is 1–2, 4"):
        find(folder, 9)
    assert store(of({}), folder).number == 5


VALUES = st.booleans() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False) | st.just(-math.inf)
HOWS = st.sampled_from(["measured", "read-back", "acknowledged", "sent", "by-hand", "assumed"])
ADDRESSES = st.text(string.ascii_letters + "/ .é", min_size=1, max_size=12)


@given(st.dictionaries(ADDRESSES, st.builds(Known, VALUES, HOWS, st.just(AT)), max_size=6), st.text(max_size=20))
def test_every_snapshot_comes_back_from_its_file(tmp_path_factory: Any, values: dict[str, Known], note: str) -> None:
    path = tmp_path_factory.mktemp("s") / "0001.json"
    snapshot = of(values, note=note, unknown=("desk/x",))
    path.write_text(to_json(snapshot).replace('"number": 0', '"number": 1'), "utf-8")
    read = load(path)
    assert (read.controls, read.note, read.unknown, read.devices) == (
        snapshot.controls,
        note,
        ("desk/x",),
        snapshot.devices,
    )


@given(st.integers(0, 2000), st.binary(max_size=3))
def test_a_damaged_file_is_read_or_refused_and_never_a_fault(tmp_path_factory: Any, at: int, data: bytes) -> None:
    text = (
        to_json(of({"desk/ch01/fader": known(-math.inf), "desk/ch01/mute": known(True)})).replace(": 0", ": 1").encode()
    )
    path = tmp_path_factory.mktemp("s") / "0001.json"
    path.write_bytes(text[: at % len(text)] + data + text[at % len(text) + len(data) :])
    try:
        load(path)
    except SnapshotError as error:
        assert "0001.json" in str(error)
