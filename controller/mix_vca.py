"""A VCA is arithmetic on faders: before anything else is done with a mix, VCAs are folded into what follows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from controller.mix_busses import AddedBus
from controller.mix_moves import Move
from controller.mix_values import FADER_DB

if TYPE_CHECKING:
    from controller.mix import Mix, Strip

Node = TypeVar("Node", "Strip", AddedBus)


def folded(mix: Mix) -> Mix:
    """Return the mix without VCAs that sounds the same.

    A folded fader may stand higher than a mix file may say. Where both a fader and its VCA move, their levels are
    joined at the points of both, straight in between.
    """
    if not mix.vcas:
        return mix
    vcas = {vca.name: vca for vca in mix.vcas}
    moves = {(move.strip, move.what): move for move in mix.moves}

    def fold(node: Node) -> Node:
        if not node.vca:
            return node
        vca = vcas[node.vca]
        for what, still, vca_still, join in (
            ("fader_db", node.fader_db, vca.fader_db, _sum_db),
            ("mute", node.mute, vca.mute, _either),
        ):
            own, its = moves.get((node.name, what)), moves.get((vca.name, what))
            if own is not None or its is not None:
                moves[node.name, what] = _joined(node.name, what, own, its, (still, vca_still), join)
        made: Node = msgspec.structs.replace(node, mute=node.mute or vca.mute, solo=node.solo or vca.solo, vca="")
        msgspec.structs.force_setattr(made, "fader_db", node.fader_db + vca.fader_db)
        return made

    strips, busses = tuple(map(fold, mix.strips)), tuple(map(fold, mix.busses))
    kept = tuple(move for (name, _), move in moves.items() if name not in vcas)
    return msgspec.structs.replace(mix, strips=strips, busses=busses, vcas=(), moves=kept)


def _sum_db(levels: Sequence[Any]) -> float:
    total: float = sum(levels)
    return total if total > FADER_DB.low else -math.inf


def _either(mutes: Sequence[Any]) -> bool:
    return any(mutes)


def _joined(
    name: str, what: str, own: Move | None, its: Move | None, still: tuple[Any, Any], join: Callable[[list[Any]], Any]
) -> Move:
    pairs = list(zip((own, its), still, strict=True))
    points: list[tuple[float, Any]] = []
    for at_s in sorted({at_s for move, _ in pairs if move is not None for at_s, _ in move.points}):
        before, after = (join([_at(move, at_s, value, end) for move, value in pairs]) for end in (0, -1))
        points.append((at_s, before))
        if before != after:
            points.append((at_s, after))
    made = Move(strip=name, what=what, points=((0.0, still[0]),))
    msgspec.structs.force_setattr(made, "points", tuple(points))
    return made


def _at(move: Move | None, at_s: float, still: Any, end: int) -> Any:
    """Return what a move is at a moment: coming to it (``end`` 0) or leaving it (−1)."""
    if move is None:
        return still
    here = [value for point_s, value in move.points if point_s == at_s]
    if here:
        return here[end]
    before = [point for point in move.points if point[0] < at_s]
    after = [point for point in move.points if point[0] > at_s]
    if not before or not after:
        return (before[-1:] or after[:1])[0][1]
    (start_s, start), (stop_s, stop) = before[-1], after[0]
    if isinstance(start, bool):
        return start
    low, high = max(start, FADER_DB.low), max(stop, FADER_DB.low)
    level = low + (high - low) * (at_s - start_s) / (stop_s - start_s)
    return level if level > FADER_DB.low else -math.inf
