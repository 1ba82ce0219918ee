"""`devices`: who is there, who they are, when they were last heard, what is wrong."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from gear_on_ports import Gear

from controller import devices
from controller.cli import devices_command
from controller.errors import UsageError
from controller.studio import Studio
from hardware.known import Known

KEYS = {"name", "profile", "port", "transport", "present", "identity", "firmware", "last_heard", "errors"}


@pytest.fixture
def gear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gear:
    return Gear(tmp_path, monkeypatch)


class Command:
    """`halfnormal devices` as its users have it."""

    def __init__(self, gear: Gear, capsys: pytest.CaptureFixture[str]) -> None:
        self._gear = gear
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        devices_command.configure(parser)
        code = devices_command.run(parser.parse_args(["--rig", str(self._gear.rig), "-q", *words]))
        return code, self._capsys.readouterr().out

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        code, out = self.run("--json", *words)
        return code, json.loads(out)


@pytest.fixture
def command(gear: Gear, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(gear, capsys)


def test_every_device_is_told_with_its_health(gear: Gear, command: Command) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 3)}, "Mute": {1: (22, 1)}}
    gear.add("bam", "midi:UM-ONE")
    gear.add("mute", "midi:Mute", profile="mute-unit")
    gear.add("eq", "hand")
    code, told = command.json()
    assert code == 0
    assert told["ok"] is True
    bam, mute, eq = told["devices"]
    assert all(set(device) >= KEYS for device in told["devices"])
    assert bam["identity"] == {"serial": 11, "firmware": 3}
    assert (bam["name"], bam["present"], bam["firmware"], bam["transport"]) == ("bam", "yes", "3", "midi")
    assert bam["last_heard"] is not None
    assert (mute["present"], mute["identity"], mute["last_heard"], mute["errors"]) == ("unknown", None, None, [])
    assert (eq["port"], eq["present"], eq["errors"]) == ("hand", "by-hand", [])
    assert gear.sent == [bytes.fromhex("F07D0001F7")], "one question, and nothing to gear that cannot answer"


def test_a_missing_port_exits_3_and_silence_alone_4(gear: Gear, command: Command) -> None:
    gear.plugged = {"UM-ONE": {}}
    gear.add("bam", "midi:UM-ONE")
    code, told = command.json()
    assert (code, told["ok"]) == (4, False)
    assert [error["kind"] for error in told["devices"][0]["errors"]] == ["silent"]
    gear.add("bim", "midi:Nowhere")
    code, told = command.json()
    assert code == 3
    bim = told["devices"][1]
    assert (bim["present"], bim["errors"][0]["kind"]) == ("no", "port")
    assert 'No MIDI output "Nowhere"' in bim["errors"][0]["what"]
    code, out = command.run()
    assert '✕ bim: No MIDI output "Nowhere"' in out


def test_another_unit_is_an_error_until_the_known_one_is_forgotten(gear: Gear, command: Command) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 3)}}
    gear.add("bam", "midi:UM-ONE")
    assert command.json()[0] == 0
    gear.plugged = {"UM-ONE": {1: (12, 3)}}
    for _ in range(2):
        code, told = command.json()
        assert code == 3
        (error,) = told["devices"][0]["errors"]
        assert error["kind"] == "other-unit"
        assert "serial 12" in error["what"]
        assert "serial 11" in error["what"]
        assert "--forget bam" in error["hint"]
    assert command.json("--forget", "bam")[0] == 0
    assert command.json()[0] == 0


def test_last_heard_is_the_latest_answer_also_of_an_earlier_day(gear: Gear) -> None:
    gear.plugged = {"Mute": {1: (22, 1)}}
    gear.add("mute", "midi:Mute", profile="mute-unit")
    with Studio.open(gear.rig) as studio:
        studio.state.update(
            {
                "mute/level": Known(3.0, "acknowledged", "2026-03-01T10:00:00+00:00"),
                "mute/other": Known(3.0, "read-back", "2026-02-01T10:00:00+00:00"),
                "mute/third": Known(3.0, "sent", "2026-04-01T10:00:00+00:00"),
            }
        )
        (found,) = devices.examine(studio).devices
    assert found.last_heard == "2026-03-01T10:00:00+00:00", "what was only sent was not heard"


def test_a_watched_device_is_missed_and_found_again_by_its_name(gear: Gear) -> None:
    gear.plugged = {"UM-ONE": {1: (11, 3)}, "Other": {1: (12, 3)}}
    gear.add("bam", "midi:UM-ONE")
    gear.add("bim", "midi:Other")
    events = iter([lambda: None, lambda: gear.unplug("UM-ONE"), lambda: gear.plugged.update({"UM-ONE": {1: (11, 3)}})])
    with Studio.open(gear.rig) as studio:
        seen = devices.watch(studio, lambda: next(events)())
        present = [[device.health.present for device in next(seen).devices] for _ in range(4)]
    assert present == [["yes", "yes"], ["yes", "yes"], ["no", "yes"], ["yes", "yes"]]


def test_a_misspelt_device_and_a_watch_that_cannot_be_are_refused(gear: Gear, command: Command) -> None:
    gear.add("bam", "hand")
    with pytest.raises(UsageError, match="no device 'bum'") as caught:
        command.run("--forget", "bum")
    assert "bam" in caught.value.hint
    for words in (("--watch", "0"), ("--watch", "nan"), ("--watch", "--json")):
        with pytest.raises(UsageError):
            command.run(*words)
