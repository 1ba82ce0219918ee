"""Inserts and busses on the path through the desk: in the box before the D/A or after the return, in step with it."""

from __future__ import annotations

from typing import Any

import pytest
from short_line import Line
from test_allocate import EQ, RIG, allocated, said, vox

from controller.allocation import Allocation
from controller.box_render import Wanted
from controller.errors import MixError, UsageError
from controller.mix import AddedBus, Bus, Comp, Insert, Move, Send, Strip, Vca
from controller.printing import plan_allocation
from controller.project import Project
from controller.studio import Studio

TRIM = Insert(kind="trim", settings={"gain_db": -3.0})
EARLY = Insert(kind="trim", at="pre")


def advance(advance_ms: float, **more: Any) -> Insert:
    return Insert(kind="advance", settings={"advance_ms": advance_ms}, **more)


@pytest.mark.parametrize(
    ("settings", "where", "why"),
    [
        ({"inserts": (EARLY,)}, "desk/ch01", "the desk's equaliser"),
        ({"inserts": (TRIM,)}, "box", "its insert follows, in the box"),
        ({"inserts": (Insert(kind="trim", on=False),)}, "desk/ch01", "the desk's equaliser"),
        ({"sends": (Send(to="fx"),)}, "box", "its send to fx follows, in the box"),
        ({"sends": (Send(to="fx", level_db=float("-inf")),)}, "desk/ch01", "the desk's equaliser"),
    ],
)
def test_the_equaliser_goes_to_the_desk_only_if_nothing_in_the_box_follows_it(
    settings: Any, where: str, why: str
) -> None:
    allocation = allocated(vox(eq=EQ, **settings), busses=(AddedBus(name="fx"),))
    assert said(allocation, "vox", "eq") == (where, why)
    assert said(allocation, "vox", "sum")[0] == "desk/ch01"


def test_what_a_side_chain_hears_is_equalised_in_the_box() -> None:
    ducked = Strip(name="pad", stem="pad.wav", inserts=(Insert(kind="trim", key="vox"),))
    assert said(allocated(vox(eq=EQ), ducked), "vox", "eq") == ("box", "a side-chain in the box hears it")


def test_a_strip_of_a_sub_group_stays_in_the_box_and_takes_no_seat() -> None:
    strips = (vox(output="low"), Strip(name="a", stem="a.wav"))
    allocation = allocated(*strips, busses=(AddedBus(name="low"),))
    assert said(allocation, "vox", "sum") == ("box", "it feeds bus low, which is in the box")
    assert [(route.strip, route.address) for route in allocation.routes] == [("a", "desk/ch01")]
    assert said(allocation, "low", "bus") == ("box", "into the stereo bus")
    assert allocation.box_pair is not None


def test_every_insert_is_placed_with_its_number_and_what_it_listens_to() -> None:
    strips = (vox(inserts=(EARLY, Insert(kind="trim", key="a", on=False))), Strip(name="a", stem="a.wav"))
    found = [p.why for p in allocated(*strips).placements if (p.strip, p.stage) == ("vox", "insert")]
    assert found == ["1: trim, before the filters", "2: trim, behind the compressor, listens to a, out of circuit"]


def test_the_latency_of_every_strip_is_in_the_plan() -> None:
    strips = (vox(inserts=(advance(1.0), advance(0.5, at="pre"))), Strip(name="a", stem="a.wav"))
    for rig in (RIG, None):
        allocation = allocated(*strips, rig=rig, bus=Bus(inserts=(advance(2.0),)))
        assert said(allocation, "vox", "latency")[1].startswith("72 samples (1.50 ms) by its inserts")
        assert said(allocation, "bus", "latency")[1].startswith("96 samples (2.00 ms)")
        # 72 frames are made up to the next whole step of 16.
        assert said(allocation, "mix", "latency")[1].startswith("176 samples (3.67 ms) in all")
        assert any("1.50 ms" in line for line in allocation.lines())
        assert not any((p.strip, p.stage) == ("a", "latency") for p in allocation.placements)


BUS_COMP = Comp(on=True, threshold_db=-16.0, ratio=4.0, attack_ms=3.0, release_ms=100.0)


def test_inserts_of_the_stereo_bus_keep_behind_them_in_the_box_what_comes_after() -> None:
    before = allocated(vox(), bus=Bus(comp=BUS_COMP, inserts=(EARLY,)))
    assert said(before, "bus", "comp") == ("box", "an insert comes first, in the box")
    after = allocated(vox(), bus=Bus(comp=BUS_COMP, fader_db=-2.0, inserts=(TRIM,)))
    assert said(after, "bus", "comp")[0] == "comp"
    assert said(after, "bus", "fader")[0] == "box"
    assert after.target["desk/master/fader"] == 0.0


def test_a_side_chain_of_the_stereo_bus_brings_the_box_after_the_return() -> None:
    allocation = allocated(vox(), bus=Bus(inserts=(Insert(kind="trim", key="vox"),)))
    assert allocation.sums_after_return
    assert said(allocation, "box", "return")[1].startswith("an insert of the stereo bus listens to the box")


def test_a_vca_is_folded_into_the_desks_faders_and_its_moves_into_their_lanes() -> None:
    fade = Move(strip="all", what="fader_db", points=[[1.0, -2.0], [3.0, -12.0]])
    allocation = allocated(vox(vca="all", fader_db=-1.0), vcas=(Vca(name="all", fader_db=-2.0),), moves=(fade,))
    reached = allocation.target["desk/ch01/fader"]
    assert isinstance(reached, float)
    trim_db = allocation.routes[0].trim_db
    assert reached + trim_db == pytest.approx(-3.0)
    (lane,) = allocation.lanes
    assert [(at_s, round(level + trim_db, 9)) for at_s, level in lane.points] == [(1.0, -3.0), (3.0, -13.0)]
    muted = allocated(vox(vca="all"), vcas=(Vca(name="all", mute=True),))
    assert muted.target["desk/ch01/mute"] is True


def test_an_insert_that_cannot_move_as_it_should_is_one_sentence_before_anything_plays() -> None:
    moves = (Move(strip="vox", what="insert/1/advance_ms", points=[[0.0, 1.0], [1.0, 2.0]]),)
    with pytest.raises(MixError, match="advance cannot move its advance_ms: its latency would move with it"):
        allocated(vox(inserts=(advance(1.0),)), moves=moves)


def test_the_desk_prints_inserts_and_busses_as_the_box_does(line: Line) -> None:
    strips = (
        Strip(
            name="bass",
            stem="bass.wav",
            fader_db=-2.37,
            inserts=(Insert(kind="trim", at="pre", settings={"gain_db": -6.0}),),
        ),
        Strip(name="drums", stem="drums.wav", fader_db=-4.83, output="low"),
        Strip(name="guitar", stem="guitar.wav", pan=-37.0, sends=(Send(to="low", level_db=-9.0, at="pre"),)),
        Strip(name="keys", stem="keys.wav", inserts=(advance(1.3),)),
        Strip(name="vox", stem="vox.wav", vca="lead"),
    )
    busses = (AddedBus(name="low", inserts=(TRIM,), fader_db=-1.0),)
    project = line.project(
        strips=strips, busses=busses, vcas=(Vca(name="lead", fader_db=-3.3),), bus=Bus(inserts=(TRIM,))
    )
    line.calibrated()
    allocation, _ = plan_allocation(project, project.mix(), None, "itb")
    assert allocation.late_frames == {"strip keys": 62}
    assert line.depth_db(project) < -100.0
    said = {(p.strip, p.stage): (p.where, p.why) for p in plan_of(line, project).placements}
    assert said["drums", "sum"] == ("box", "it feeds bus low, which is in the box")
    assert said["vox", "sum"][0].startswith("desk/")
    assert said["low", "bus"] == ("box", "into the stereo bus")


def plan_of(line: Line, project: Project) -> Allocation:
    with Studio.open(line.rig) as studio:
        return plan_allocation(project, project.mix(), studio, "analog")[0]


def test_stems_of_a_pass_through_the_desk_are_refused(line: Line) -> None:
    project = line.project()
    with pytest.raises(UsageError, match="in the box only"):
        line.print(project, wanted=Wanted(stems=True))
