from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import RigError
from hardware.known import Known, RigState

AT = "2026-01-02T03:04:05+00:00"
VALUES = st.one_of(
    st.booleans(), st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), st.just(-math.inf)
)
HOWS = st.sampled_from(["measured", "read-back", "acknowledged", "sent", "by-hand", "assumed"])


@given(st.dictionaries(st.text(min_size=1, max_size=12), st.tuples(VALUES, HOWS), max_size=8))
def test_a_state_survives_being_written_and_read(values: dict[str, tuple[float | bool | str, str]]) -> None:
    state = RigState({address: Known(value, how, AT) for address, (value, how) in values.items()}, rig="demo")  # type: ignore[arg-type]
    again = RigState.from_json(state.to_json(), source="it")
    assert again == state
    assert again.rig == "demo"
    for address, known in again.items():
        assert type(known.value) is type(state[address].value)


def test_the_file_is_strict_json_and_says_off_in_words() -> None:
    text = RigState({"desk/ch01/fader": Known(-math.inf, "sent", AT)}).to_json()
    entry = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["controls"]
    assert entry["desk/ch01/fader"]["value"] is None
    assert "off" in entry["desk/ch01/fader"]["value_note"]


def test_a_rig_never_seen_is_a_rig_of_which_nothing_is_known(tmp_path: Path) -> None:
    assert RigState.load(tmp_path / "none.json", rig="demo") == {}


def test_saving_goes_through_the_one_writer(tmp_path: Path) -> None:
    written: list[tuple[Path, str]] = []
    state = RigState({"comp/ratio": Known("4:1", "sent", AT)}, rig="demo")
    state.save(tmp_path / "state.json", lambda path, text: written.append((path, text)))
    assert written == [(tmp_path / "state.json", state.to_json())]
    assert not (tmp_path / "state.json").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "damaged"),
        ("[]", "schema"),
        ('{"schema": 2, "controls": {}}', "schema 2"),
        ('{"schema": 1}', "controls"),
        ('{"schema": 1, "controls": {"a/b": {"value": 1, "how": "guessed", "at": ""}}}', "a/b"),
        ('{"schema": 1, "controls": {"a/b": {"value": null, "how": "sent", "at": ""}}}', "a/b"),
        ('{"schema": 1, "controls": {"a/b": {"value": 1e999, "how": "sent", "at": ""}}}', "a/b"),
        ('{"schema": 1, "controls": {"a/b": 3}}', "a/b"),
    ],
)
def test_a_damaged_or_newer_state_is_refused_and_left_alone(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RigError) as error:
        RigState.load(path)
    assert says in str(error.value)
    assert "left as it is" in error.value.hint
    assert path.read_text(encoding="utf-8") == text


def test_the_state_of_another_rig_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(RigState(rig="studio-b").to_json(), encoding="utf-8")
    with pytest.raises(RigError, match="studio-b"):
        RigState.load(path, rig="demo")


def test_controls_set_by_hand_are_known_by_hand() -> None:
    state = RigState()
    state.mark_by_hand({"desk/ch01/trim": 3.0}, at=AT)
    assert state["desk/ch01/trim"] == Known(3.0, "by-hand", AT)
