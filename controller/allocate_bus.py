"""Where the stages of the stereo bus run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from controller import desk as desks
from controller.allocation import MOVES, Draft, RenderPath
from controller.engine_terms import engine_bands, engine_compressor
from controller.graph_terms import main_bus, moving_bands
from controller.mix import BUS, Mix
from controller.move_points import bus_automation, bus_lane, highest_db, lane_words
from dsp.bus import BusSettings
from dsp.graph_settings import GraphBus
from hardware.known import Known
from hardware.recall_plan import same_value
from hardware.rig import Rig, split_address
from profiles.profile import Profile, Value


def plan_bus(
    mix: Mix,
    rig: Rig,
    profiles: Mapping[str, Profile],
    *,
    path: RenderPath,
    known: Mapping[str, Known],
    box_joins_late: bool,
    on_desk: bool,
    draft: Draft,
) -> tuple[GraphBus, GraphBus, float]:
    """Decide where the main bus's stages run; on the path ``hybrid`` the compressor only where no hand has to set it.

    Returns what the box does after the return, what it does on the box path, and the gain of the desk's bus [dB].
    """
    bands = engine_bands(mix.bus.eq, moving_bands(mix, BUS))
    comp_moves = any(move.strip == BUS and move.what.startswith("comp/") for move in mix.moves)
    compressor = engine_compressor(mix.bus.comp)
    boxed = main_bus(BusSettings(), mix)
    inserts = [i for i in rig.inserts if i.at.endswith("/mix")] if on_desk else []
    achieved = compressor
    on_device = ""
    if compressor is not None:
        why = "no compressor of the rig is patched to the mix"
        for insert in inserts:
            if mix.bus.place.get("comp", "auto") == "box":
                why = "pinned to the box by the mix"
            elif comp_moves:
                why = MOVES
            elif boxed.pre:
                why = "an insert comes first, in the box"
            elif bands:
                why = "the bus equaliser comes first, in the box"
            elif box_joins_late:
                why = "strips of the box join after the return"
            else:
                fitted = desks.fit_compressor(profiles[insert.device], compressor, rig.audio.dbu_at_0dbfs)
                if isinstance(fitted, str):
                    why = fitted
                    continue
                wanted = {f"{insert.device}/{name}": value for name, value in fitted[1].items()} | dict(insert.switch)
                if (
                    path == "hybrid"
                    and mix.bus.place.get("comp", "auto") == "auto"
                    and hands_needed(rig, profiles, wanted, known)
                ):
                    why = "a hand would have to set it, and this path uses none"
                    continue
                achieved = fitted[0]
                on_device = insert.device
                draft.target.update(wanted)
                break
        draft.place(BUS, "comp", on_device or "box", "patched into the mix insert" if on_device else why)
    for insert in inserts:
        if insert.device != on_device:
            draft.target.update(desks.out_of_circuit(insert))
    if bands:
        draft.place(BUS, "eq", "box", "the desk has no bus equaliser")
    fader_db = mix.bus.fader_db
    move = mix.moves_of(BUS).get("fader_db")
    automation = bus_automation(mix)
    moved_where = "box"
    master = desks.master_fader(rig, profiles) if on_desk else None
    moves_there = move is None or (
        master is not None
        and not master[1].by_hand
        and math.isfinite(fader_db)
        and highest_db(move, fader_db) <= master[1].high
    )
    last = not (bands or boxed.inserts) and (compressor is None or on_device) and not box_joins_late
    trim_db = fader_db
    if master is not None and last and moves_there:
        address, control = master
        reached = float(control.achieved(fader_db))
        if math.isfinite(reached):
            lane = bus_lane(mix, address, trim_db=fader_db - reached)
            if lane is not None:
                draft.lanes.append(lane)
                moved_where = address
            draft.target[address] = reached
            trim_db = fader_db - reached
            draft.place(BUS, "fader", address, f"digital trim {trim_db:+.2f} dB after the A/D makes up its step")
    elif master is not None:
        address, control = master
        draft.target[address] = float(control.achieved(0.0))
        draft.place(BUS, "fader", "box", "it follows the bus stages in the box; the master fader stays at 0 dB")
    if move is not None:
        how = "made by the engine" if moved_where == "box" else "sent in time with the pass"
        draft.place(BUS, "moves", moved_where, f"{lane_words(move)}, {how}")
    feeds = replace(
        boxed,
        bands=bands,
        compressor=None if on_device else compressor,
        fader_db=trim_db,
        automation=automation if moved_where == "box" else None,
    )
    itb = replace(boxed, bands=bands, compressor=achieved, fader_db=fader_db, automation=automation)
    makeup_db = achieved.makeup_db if achieved is not None and on_device else 0.0
    return feeds, itb, makeup_db + mix.bus.fader_db - trim_db


def hands_needed(
    rig: Rig, profiles: Mapping[str, Profile], wanted: Mapping[str, Value], known: Mapping[str, Known]
) -> bool:
    """Tell whether a hand has to set any of ``wanted`` (address → value) that is not known to stand right already."""
    for address, value in wanted.items():
        device, name = split_address(address)
        control = profiles[device].controls[name]
        if not control.by_hand and rig.devices[device].transport != "hand":
            continue
        fact = known.get(address)
        if fact is None or fact.how == "assumed" or not same_value(control, fact.value, value):
            return True
    return False
