"""Who answered at first contact is kept; another unit on that port is an error that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import RigError
from hardware.identities import Identities, Identity, OtherUnitError

FIRST = Identity("unit", {"model": 5, "firmware": "1.2"}, "2026-01-01T10:00:00+00:00")


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_the_first_answer_becomes_the_known_one_and_the_same_again_is_fine() -> None:
    known = Identities(rig="a")
    assert known.meet("bam", FIRST) is True
    assert known.meet("bam", Identity("unit", {"firmware": "1.2", "model": 5}, "2026-02-02T10:00:00+00:00")) is False
    assert known["bam"] is FIRST


def test_another_unit_is_told_with_both_identities_and_what_to_do() -> None:
    known = Identities({"bam": FIRST}, rig="a")
    with pytest.raises(OtherUnitError, match="Another unit sits on the port of bam: it says model 6") as caught:
        known.meet("bam", Identity("unit", {"model": 6, "firmware": "1.2"}, ""))
    assert "model 5, firmware 1.2" in str(caught.value)
    assert "--forget bam" in caught.value.hint
    assert known["bam"] is FIRST


def test_an_answer_read_with_another_profile_counts_as_the_first() -> None:
    known = Identities({"bam": FIRST}, rig="a")
    assert known.meet("bam", Identity("other", {"model": 6}, "")) is True


@given(
    st.dictionaries(
        st.text(),
        st.builds(Identity, st.text(), st.dictionaries(st.text(), st.text() | st.integers(-(2**31), 2**31)), st.text()),
    )
)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, known: dict[str, Identity]) -> None:
    path = tmp_path_factory.mktemp("home") / "identities.json"
    Identities(known, rig="a").save(path, write)
    assert dict(Identities.load(path, rig="a")) == known


def test_where_nothing_was_met_there_is_no_file(tmp_path: Path) -> None:
    assert Identities.load(tmp_path / "identities.json", rig="a") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": 1, "rig": "a", "devices": {"bam": {"profile": "unit"}}}', "damaged"),
        ('{"schema": 1, "rig": "a", "devices": {"bam": 3}}', "damaged"),
        ('{"schema": 2, "rig": "a", "devices": {}}', "schema 2"),
        ('{"schema": 1, "rig": "b", "devices": {}}', "rig 'b'"),
    ],
)
def test_a_damaged_newer_or_foreign_file_is_refused_and_left(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "identities.json"
    write(path, text)
    with pytest.raises(RigError, match=says) as caught:
        Identities.load(path, rig="a")
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert path.read_text(encoding="utf-8") == text
