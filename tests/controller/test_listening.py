"""Monitor, learn and import as an engineer meets them: what is typed, what is heard, what is shown, what is on disk."""

from __future__ import annotations

import argparse
import csv
import json
import tomllib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller import listening
from controller.cli import monitor_command, profile_learning
from controller.cli.face import Face
from controller.errors import ExistsError, StorageError, UsageError
from controller.learn import is_taken, name_controls
from controller.listening import Ear
from controller.monitor import KEPT_MESSAGES, watch
from hardware.errors import DisconnectedError
from hardware.learning import Learner
from hardware.midi_words import MidiWords
from hardware.room.inprocess import InProcessRoom
from hardware.room.model import RoomModel
from hardware.seams import Token, VirtualClock
from profiles.errors import ProfileError
from profiles.importers.midi_csv import COLUMNS
from profiles.library import load_profile
from profiles.profile import Profile


class ScriptedPort:
    """Brings what a script holds, one token a call, and then ends as told; whoever sends on it fails the test."""

    name = "scripted"

    def __init__(self, clock: VirtualClock, tokens: list[tuple[float, bytes]], end: type[BaseException] | None) -> None:
        self._clock = clock
        self._left = deque(tokens)
        self._end = end
        self.closed = False

    def send(self, data: bytes) -> None:
        raise AssertionError("listening sends nothing")

    def receive(self, timeout_s: float) -> list[Token]:
        if not self._left:
            if self._end is not None:
                raise self._end("it ended")
            self._clock.sleep(timeout_s)
            return []
        wait_s, data = self._left.popleft()
        self._clock.sleep(wait_s)
        return [Token(self._clock.monotonic(), data)]

    def close(self) -> None:
        self.closed = True


def ear(*tokens: tuple[float, str], end: type[BaseException] | None = KeyboardInterrupt) -> Ear:
    clock = VirtualClock()
    return Ear(ScriptedPort(clock, [(wait_s, bytes.fromhex(data)) for wait_s, data in tokens], end), clock)


@pytest.fixture
def room() -> InProcessRoom:
    return InProcessRoom(RoomModel.ideal())


@pytest.fixture
def desk() -> Profile:
    return load_profile("room-desk-24")


def test_a_fader_moved_on_the_desk_is_told_in_the_profiles_words_with_its_bytes_and_times(room, desk) -> None:
    heard = Ear(room.open_port("desk"), room.clock, virtual=True)
    room.turn("desk/ch02/fader", -10.0)
    watched = watch(heard, profile=desk, device="desk", seconds=1.0)
    # -10 dB is step 144 = 72 * 2, so the data MSB is 48 hex (owner's manual of the desk, section 3).
    assert [seen.data.hex(" ").upper() for seen in watched.messages] == [
        "B0 63 10", "B0 62 01", "B0 06 48", "B0 26 00",
    ]  # fmt: skip
    assert [seen.kind for seen in watched.messages] == ["part", "part", "part", "change"]
    last = watched.messages[-1].as_json()
    assert (last["control"], last["value"], last["unit"], last["raw"]) == ("desk/ch02/fader", -10.0, "dB", 144)
    assert last["meaning"] == "desk/ch02/fader = -10.00 dB"
    # Three bytes take 3 / 3125 s on the wire.
    assert [seen.at_s for seen in watched.messages] == pytest.approx([3 * n / 3125 for n in (1, 2, 3, 4)])
    assert [seen.delta_s for seen in watched.messages] == pytest.approx([3 / 3125] * 4)
    assert watched.seconds == pytest.approx(1.0)


def test_a_serial_line_that_comes_in_pieces_is_one_message_with_its_end(room) -> None:
    heard = Ear(room.open_port("matrix"), room.clock, virtual=True)
    heard.port.send(b"1*3$")  # stands for the hand at the front panel: the unit tells both the same way
    watched = watch(heard, profile=load_profile("extron-sis-matrix"), device="matrix", seconds=2.0)
    assert [seen.data for seen in watched.messages] == [b"Out03 In01 Aud\r\n"]
    assert watched.messages[0].as_json()["control"] == "matrix/out03/tie"
    assert watched.messages[0].value == 1.0


def test_what_the_profile_does_not_know_is_not_understood_and_still_shown(desk) -> None:
    watched = watch(ear((0.0, "F0 7D 01 02 F7"), (0.5, "B0 63 10")), profile=desk)
    assert (watched.messages[0].kind, watched.messages[0].at_s) == ("not understood", 0.0)
    assert watched.messages[0].as_json()["control"] is None


def test_a_message_cut_off_at_the_end_is_shown_as_incomplete() -> None:
    watched = watch(ear((0.0, "90 3C")))
    assert [(seen.kind, seen.data) for seen in watched.messages] == [("part", b"\x90\x3c")]


def test_clock_is_counted_and_shown_on_request_only() -> None:
    script = ((0.0, "F8"), (0.02, "B0 F8 07 40"), (0.02, "FE"))
    quiet = watch(ear(*script))
    assert (quiet.count, quiet.real_time) == (1, 3)
    assert [seen.meaning for seen in quiet.messages] == ["CC 7 (volume) = 64, channel 1"]
    loud = watch(ear(*script), raw=True)
    assert [seen.meaning.split(",")[0] for seen in loud.messages] == [
        "clock", "clock", "CC 7 (volume) = 64", "active sensing",
    ]  # fmt: skip


def test_only_the_newest_messages_are_kept_and_the_others_counted() -> None:
    watched = watch(ear((0.0, "B0 07 40" * (KEPT_MESSAGES + 3))))
    assert (watched.count, len(watched.messages), watched.dropped) == (KEPT_MESSAGES + 3, KEPT_MESSAGES, 3)


def test_a_count_and_a_time_end_it() -> None:
    assert watch(ear((0.0, "B0 07 40" * 5)), count=2).count == 2
    assert watch(ear(end=None), seconds=3.0).seconds == pytest.approx(3.0)


def test_a_vanished_port_keeps_what_was_heard() -> None:
    watched = watch(ear((0.0, "B0 07 40"), end=DisconnectedError))
    assert watched.count == 1
    assert isinstance(watched.trouble, DisconnectedError)


def test_a_room_inside_the_program_is_not_listened_to_for_ever(room) -> None:
    with pytest.raises(UsageError, match="no time of its own"):
        watch(Ear(room.open_port("desk"), room.clock, virtual=True))


@pytest.mark.parametrize("spec", ["desk", "midi:", "usb:x", "room: "])
def test_a_port_is_written_as_in_a_rig(spec: str) -> None:
    with pytest.raises(UsageError, match="is no port"), listening.open_ear(spec):
        raise AssertionError


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ("90 3C 40", "note on 60 (C4), velocity 64, channel 1"),
        ("9F 3C 00", "note off 60 (C4), as note on with velocity 0, channel 16"),
        ("80 45 00", "note off 69 (A4), channel 1"),
        ("B1 07 05", "CC 7 (volume) = 5, channel 2"),
        ("C0 05", "program change 5, channel 1"),
        ("E0 00 40", "pitch bend 8192, channel 1"),
        ("D0 10", "channel pressure 16, channel 1"),
        ("A0 3C 10", "key pressure 60 (C4) = 16, channel 1"),
        ("F0 00 20 33 01 F7", "system exclusive, maker 00 20 33, 6 bytes"),
        ("F0 43 01 F7", "system exclusive, maker 43, 4 bytes"),
        ("F8", "clock"),
        ("05", "no whole MIDI message"),
        ("B0 63 01|B0 62 02|B0 06 01|B0 26 02", "CC 38 (data LSB) = 2: NRPN 1/2 = 130 (14 bits), channel 1"),
        ("B0 65 00|B0 64 01|B0 06 40", "CC 6 (data MSB) = 64: RPN 0/1 = 64 so far, channel 1"),
        ("B0 65 7F|B0 64 7F|B0 06 40", "CC 6 (data MSB) = 64, channel 1"),
    ],
)
def test_midi_is_told_in_words(messages: str, words: str) -> None:
    speaker = MidiWords()
    assert [speaker.say(bytes.fromhex(message)) for message in messages.split("|")][-1] == words


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALFNORMAL_HOME", str(tmp_path / "home"))
    return tmp_path


def options(configure: Callable[[argparse.ArgumentParser], None], *words: str, **more: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    configure(parser)
    args = parser.parse_args(words)
    vars(args).update(more)
    return args


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    answer: dict[str, Any] = json.loads(out)
    assert answer["schema"] == 1
    return answer


def test_monitor_lists_a_rigs_device_live_or_as_one_object(home, capsys) -> None:
    configure = monitor_command.configure
    assert monitor_command.run(options(configure, "--device", "desk", "--seconds", "0.5")) == 0
    assert capsys.readouterr().out == "0 messages in 0.5 s.\n"
    assert monitor_command.run(options(configure, "--device", "desk", "--seconds", "0.5", "--json")) == 0
    answer = told(capsys)
    assert (answer["profile"], answer["count"], answer["messages"]) == ("room-desk-24", 0, [])


def test_monitor_writes_a_line_for_each_message(home, capsys, monkeypatch) -> None:
    script = ear((0.0, "B0 07 40"), (0.25, "90 3C 40"))
    monkeypatch.setattr(listening, "open_ear", lambda *a, **k: _opened(script))
    assert monitor_command.run(options(monitor_command.configure, "--port", "midi:Any")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(None, 2) == ["0.000", "+0.000", "B0 07 40                  CC 7 (volume) = 64, channel 1"]
    assert lines[1].split(None, 2)[:2] == ["0.250", "+0.250"]
    assert lines[2] == "2 messages in 0.2 s."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "midi:X", "--rig", "demo"), "--rig goes with --device"),
        (("--device", "desk", "--seconds", "0"), "--seconds cannot be 0"),
        (("--device", "desk", "--count", "-1"), "--count cannot be -1"),
        (("--device", "tuba"), "no device 'tuba'"),
        (("--device", "desk"), "no time of its own"),
    ],
)
def test_monitor_says_what_is_wrong_with_its_options(home, words, said) -> None:
    with pytest.raises(UsageError, match=said):
        monitor_command.run(options(monitor_command.configure, *words))


class _opened:  # noqa: N801 - stands in for a function
    def __init__(self, opened: Ear) -> None:
        self._ear = opened

    def __enter__(self) -> Ear:
        return self._ear

    def __exit__(self, *error: object) -> None:
        self._ear.port.close()


def learn(*words: str, script: Ear, patch: pytest.MonkeyPatch, as_json: bool = True) -> int:
    patch.setattr(listening, "open_ear", lambda *a, **k: _opened(script))
    args = options(profile_learning.add_arguments, "--port", "midi:Any", *words, json=as_json, action="learn")
    return profile_learning.learn_profile(args, Face(as_json=as_json, quiet=True))


SWEEP = [(0.01, f"B3 07 {value:02X}") for value in range(128)]
PRESSES = [(0.2, "93 10 7F"), (0.1, "93 10 00")] * 2


def test_learn_writes_an_unverified_profile_of_what_was_moved(home, capsys, monkeypatch) -> None:
    assert learn("--seconds", "9", "--name", "my-box", script=ear(*SWEEP, *PRESSES), patch=monkeypatch) == 0
    answer = told(capsys)
    assert answer["profile"] == "my-box"
    assert answer["file"] == "home/profiles/my-box.toml"
    assert answer["problems"] == []
    assert [(c["name"], c["low"], c["high"], c["steps"], c["shape"]) for c in answer["controls"]] == [
        ("cc7", 0, 127, 128, "continuous"),
        ("note16", 0, 127, 2, "switch"),
    ]
    profile = load_profile("my-box", folders=[home / "home" / "profiles"])
    assert (profile.verification, profile.midi_channel, profile.examples) == ("unverified", 4, ())
    assert "midi:Any" in profile.sources[0]


def test_learn_never_takes_a_profiles_place(home, capsys, monkeypatch) -> None:
    for expected in ("learned", "learned-2"):
        assert learn("--seconds", "9", script=ear(*SWEEP), patch=monkeypatch) == 0
        assert told(capsys)["profile"] == expected
    assert is_taken("room-desk-24")
    (home / "there.toml").write_text("mine")
    with pytest.raises(ExistsError):
        learn("--seconds", "9", "--out", "there.toml", script=ear(*SWEEP), patch=monkeypatch)
    assert (home / "there.toml").read_text() == "mine"


def test_learn_without_a_sound_writes_nothing_and_answers_no(home, capsys, monkeypatch) -> None:
    assert learn("--seconds", "9", script=ear((0.0, "F8"), (0.1, "B0 07 05")), patch=monkeypatch) == 1
    answer = told(capsys)
    assert (answer["profile"], answer["controls"]) == (None, [])
    assert any("trigger" in word for word in answer["ignored"])
    assert not (home / "home").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "Nobody is here"), (("--seconds", "-1"), "cannot be -1"), (("--seconds", "1", "--name", "My Box"), "id")],
)
def test_learn_says_what_is_wrong_with_its_options(home, monkeypatch, words, said) -> None:
    with pytest.raises((UsageError, ProfileError), match=said):
        learn(*words, script=ear(*SWEEP), patch=monkeypatch)


def test_learn_is_for_midi(home) -> None:
    args = options(profile_learning.add_arguments, "--port", "serial:/dev/null", "--seconds", "1", json=True)
    with pytest.raises(UsageError, match="MIDI only"):
        profile_learning.learn_profile(args, Face(as_json=True))


def test_names_are_asked_for_and_asked_again_until_they_are_good() -> None:
    learner = Learner()
    for number in (7, 8, 9, 10):
        for value in range(128):
            learner.feed(bytes([0xB0, number, value]), 0.0)
    answers = iter(["cc8", "", "Big Knob", "cc8", "eq/gain", "-"])
    complaints: list[str] = []

    def ask(proposal: object, complaint: str) -> str:
        complaints.append(complaint)
        return next(answers) + "\n"

    kept, left_out = name_controls(learner.proposals(), ask)
    assert [name for name, _ in kept] == ["cc8", "cc8_2", "eq/gain"]
    assert [proposal.name for proposal in left_out] == ["cc10"]
    assert [bool(complaint) for complaint in complaints] == [False, False, False, True, True, False]


def a_list(path: Path, **fields: object) -> Path:
    row = {"manufacturer": "Quillon", "device": "Ember 2", "parameter_name": "Mix", "cc_msb": 7, **fields}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(row)
        writer.writerow({**row, "parameter_name": "Nothing", "cc_msb": ""})
    return path


def import_list(path: Path, *words: str, as_json: bool = True) -> int:
    args = options(profile_learning.add_arguments, *words, id=str(path), json=as_json, action="import")
    return profile_learning.import_profile(args, Face(as_json=as_json, quiet=True))


def test_import_puts_a_list_among_the_users_profiles_and_reports_every_gap(home, capsys) -> None:
    assert import_list(a_list(home / "Ember.csv")) == 0
    answer = told(capsys)
    assert answer["profile"] == "quillon-ember-2"
    assert answer["file"] == "home/profiles/quillon-ember-2.toml"
    assert (answer["controls"], answer["problems"]) == (1, [])
    assert answer["skipped"] == [{"what": "neither a CC nor an NRPN", "lines": [3]}]
    assert any(2 in notice["lines"] for notice in answer["assumed"])
    assert tomllib.loads((home / answer["file"]).read_text())["verification"] == "unverified"
    assert import_list(home / "Ember.csv", as_json=False) == 0
    said = capsys.readouterr().out
    assert "quillon-ember-2-2.toml: 1 control, community, unverified." in said
    assert "left out: line 3: neither a CC nor an NRPN" in said


def test_import_refuses_what_it_cannot_read_and_writes_nothing(home) -> None:
    with pytest.raises(StorageError, match="no such file"):
        import_list(home / "none.csv")
    with pytest.raises(UsageError, match="is a folder"):
        import_list(home)
    with pytest.raises(ProfileError, match=":2: cc_msb is 128"):
        import_list(a_list(home / "bad.csv", cc_msb=128))
    assert not (home / "home").exists()


@pytest.mark.parametrize(("option", "action"), [("--port", "import"), ("--seconds", "import"), ("--out", "list")])
def test_options_of_other_actions_are_refused(option: str, action: str) -> None:
    args = options(profile_learning.add_arguments, option, "1", action=action)
    with pytest.raises(UsageError, match=f"no use for {option}"):
        profile_learning.check_options(args)
