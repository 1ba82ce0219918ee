"""What a program writes as TOML comes back as it was."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.errors import ProfileError
from profiles.writing import toml_text

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), st.text(max_size=40))
def test_tables_come_back_as_they_were(tables: dict[str, object], comment: str) -> None:
    assert tomllib.loads(toml_text(tables, comment=comment)) == tables  # type: ignore[arg-type]


def test_a_control_reads_as_a_person_would_write_it() -> None:
    text = toml_text(
        {"schema": 1, "midi": {"channel": 2}, "control": [{"name": "mix", "cc": {"number": 7}}]}, comment="two\nlines"
    )
    assert text == (
        '# two\n# lines\nschema = 1\n\n[midi]\nchannel = 2\n\n[[control]]\nname = "mix"\ncc = {number = 7}\n'
    )


def test_long_lists_take_one_line_for_each_element() -> None:
    choices = [{"value": f"position {number}", "send": number} for number in range(20)]
    text = toml_text({"control": [{"name": "mode", "taper": {"kind": "choices", "choices": choices}}]})
    assert max(map(len, text.splitlines())) < 60
    assert "[control.taper]" in text.splitlines()
    assert tomllib.loads(text)["control"][0]["taper"]["choices"] == choices


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63, "\ud800", object()])
def test_what_toml_cannot_hold_is_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(ProfileError) as caught:
        toml_text({"key": value})  # type: ignore[dict-item]
    assert caught.value.hint
