"""Screen 1: the console. The mix under the hands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from controller.errors import MixError
from controller.mix import Bus, Comp, EqBand, Strip
from controller.tui.console_view import PARAMETERS, ConsoleView, StripFace, db_text, pan_text
from controller.tui.dialogs import ValueDialog
from controller.tui.pane import Pane
from controller.tui.playing import SKIP_S
from controller.tui.session import nudged_db, where_text

BANK = 8
KEYS: Mapping[str, str] = {"fader": "fader_db", "pan": "pan", "send": "send_db", "trim": "trim_db"}
DEFAULTS: Mapping[str, float] = {"fader": 0.0, "pan": 0.0, "send": -math.inf, "trim": 0.0}
PAN_STEP = 5.0
"""How far a pan moves where a level moves by 1 dB."""


class ConsolePane(Pane):
    """Strips and master, one cursor: a strip and a parameter."""

    HEADING = "console"
    ABOUT = (
        "The mix. ←/→ choose a strip, Tab the parameter (fader, pan, send, trim), ↑/↓ change it. Nothing here moves "
        "hardware: recall (2) and print (3) do, and ask first.\n"
        "Space plays the mix, made in the box, and stops it; every edit is heard at once. l goes round and round, "
        "[ and ] say from where to where; , and . go back and forward.\n"
        "M mute, S solo, Ø polarity · H high-pass, E equaliser, C compressor in use · the last row says where the "
        "strip meets the mix on the chosen path."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "strip(-1)", "Strip left", id="console.left", show=False),
        Binding("right", "strip(1)", "Strip right", id="console.right", show=False),
        Binding("shift+left", "strip(-8)", "Bank left", id="console.bank_left", show=False),
        Binding("shift+right", "strip(8)", "Bank right", id="console.bank_right", show=False),
        Binding("home", "edge(-1)", "First strip", id="console.first", show=False),
        Binding("end", "edge(1)", "Master", id="console.master", show=False),
        Binding("up", "nudge(1)", "Up 1 dB", id="console.up", show=False),
        Binding("down", "nudge(-1)", "Down 1 dB", id="console.down", show=False),
        Binding("shift+up", "nudge(0.1)", "Up 0.1 dB", id="console.up_fine", show=False),
        Binding("shift+down", "nudge(-0.1)", "Down 0.1 dB", id="console.down_fine", show=False),
        Binding("pageup", "nudge(6)", "Up 6 dB", id="console.up_coarse", show=False),
        Binding("pagedown", "nudge(-6)", "Down 6 dB", id="console.down_coarse", show=False),
        Binding("tab", "parameter(1)", "Parameter", id="console.parameter"),
        Binding("shift+tab", "parameter(-1)", "Parameter back", id="console.parameter_back", show=False),
        Binding("enter", "type", "Value", id="console.type"),
        Binding("m", "switch('mute')", "Mute", id="console.mute"),
        Binding("s", "switch('solo')", "Solo", id="console.solo"),
        Binding("i", "polarity", "Polarity", id="console.polarity", show=False),
        Binding("M", "clear('mute')", "Clear all mutes", id="console.clear_mutes", show=False),
        Binding("S", "clear('solo')", "Clear all solos", id="console.clear_solos", show=False),
        Binding("u", "set(0)", "Unity, centre", id="console.unity", show=False),
        Binding("backspace", "default", "Default", id="console.default", show=False),
        Binding(
            "space",
            "play",
            "Play",
            id="console.play",
            key_display="␣",
            tooltip="Play the mix, or stop; what rings rings out",
        ),
        Binding("l", "loop", "Loop", id="console.loop", show=False, tooltip="Round and round, or on to the end"),
        Binding("left_square_bracket", "mark(-1)", "Loop from here", id="console.loop_from", show=False),
        Binding("right_square_bracket", "mark(1)", "Loop to here", id="console.loop_to", show=False),
        Binding("comma", "skip(-1)", "Back 5 s", id="console.back", show=False),
        Binding("full_stop", "skip(1)", "Forward 5 s", id="console.forward", show=False),
        Binding("z", "undo", "Undo", id="console.undo", show=False),
        Binding("Z", "redo", "Redo", id="console.redo", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the surface and the facts of the chosen strip."""
        yield ConsoleView(id="surface")
        yield Static(id="strip-facts", markup=False)

    @property
    def view(self) -> ConsoleView:
        """The surface."""
        return self.query_one(ConsoleView)

    @property
    def cursor(self) -> int:
        """The chosen strip, from 0; the master is one past the last."""
        return self.view.cursor

    @property
    def on_master(self) -> bool:
        """Whether the cursor stands on the master."""
        return self.cursor >= len(self.session.mix.strips)

    @property
    def parameter(self) -> str:
        """What the arrows change: the master has a fader and nothing else."""
        return "fader" if self.on_master else self.view.parameter

    def focus_main(self) -> None:
        """Focus the surface."""
        self.screen.set_focus(self.view)

    def show_session(self) -> None:
        """Draw all strips as the mix says."""
        mix, allocation = self.session.mix, self.session.plan().allocation
        faces = [_face(strip, where_text(allocation, strip.name), self._stereo(strip)) for strip in mix.strips]
        faces.append(
            StripFace(
                "master",
                mix.bus.fader_db,
                self._master_where(),
                eq=_active(mix.bus.eq),
                comp=mix.bus.comp.on,
                master=True,
            )
        )
        self.view.show(faces, min(self.cursor, len(mix.strips)), self.view.parameter)
        self.query_one("#strip-facts", Static).update(self._facts())

    def show_levels(self, levels_dbfs: Mapping[str, float]) -> None:
        """Move the meters."""
        self.view.meter(levels_dbfs)

    def show_reductions(self, reductions_db: Mapping[str, float]) -> None:
        """Move the meters of the compressors."""
        self.view.reduce(reductions_db)

    def _stereo(self, strip: Strip) -> bool:
        return self.session.project.stem(strip.stem).channels == 2

    def _master_where(self) -> str:
        allocation = self.session.plan().allocation
        return "?" if allocation is None else "desk" if allocation.routes else "box"

    def _facts(self) -> Text:
        """Say what the chosen strip does and where each of its stages runs."""
        mix, plan = self.session.mix, self.session.plan()
        source: Strip | Bus = mix.bus if self.on_master else mix.strips[self.cursor]
        name = "bus" if self.on_master else mix.strips[self.cursor].name
        text = Text()
        text.append(f"{name}  ", "bold #e8a33d")
        text.append(_processing(source))
        if plan.error:
            text.append(f"\n✕ {plan.error} {plan.hint}", "#e0604c")
        for placement in plan.allocation.placements if plan.allocation is not None else ():
            if placement.strip == name:
                text.append(f"\n  {placement.stage:<8} ", "#84878a")
                text.append(f"{placement.where:<14} ", "#84878a" if placement.where == "box" else "#6fb3b8")
                text.append(placement.why)
        return text

    def on_console_view_picked(self, event: ConsoleView.Picked) -> None:
        """Follow a click."""
        self._stand(event.index)

    def _stand(self, index: int) -> None:
        self.view.cursor = min(max(index, 0), len(self.session.mix.strips))
        self.show_session()

    def action_strip(self, steps: int) -> None:
        """Move the cursor by strips."""
        self._stand(self.cursor + steps)

    def action_edge(self, direction: int) -> None:
        """Go to the first strip or to the master."""
        self._stand(0 if direction < 0 else len(self.session.mix.strips))

    def action_parameter(self, step: int) -> None:
        """Choose what the arrows change."""
        self.view.parameter = PARAMETERS[(PARAMETERS.index(self.view.parameter) + step) % len(PARAMETERS)]
        self.show_session()

    def value(self) -> float:
        """Return the value under the cursor."""
        if self.on_master:
            return self.session.mix.bus.fader_db
        return float(getattr(self.session.strip(self.cursor), KEYS[self.parameter]))

    def action_nudge(self, step_db: float) -> None:
        """Change the value under the cursor by ``step_db``, or a pan by as many fives."""
        if self.parameter == "pan":
            step = math.copysign(1.0 if abs(step_db) < 1 else PAN_STEP * abs(step_db), step_db)
            self._set(min(max(self.value() + step, -100.0), 100.0))
        elif self.parameter == "trim":
            low, high = Strip.ranges["trim_db"].low, Strip.ranges["trim_db"].high
            self._set(min(max(round(self.value() + step_db, 2), low), high))
        else:
            self._set(nudged_db(self.value(), step_db))

    def action_set(self, value: float) -> None:
        """Set unity, or the centre."""
        self._set(float(value))

    def action_default(self) -> None:
        """Set the value a new strip has."""
        self._set(DEFAULTS[self.parameter])

    def action_type(self) -> None:
        """Ask for an exact value."""
        name = "master" if self.on_master else self.session.strip(self.cursor).name
        allowed = "L100..R100, C" if self.parameter == "pan" else f"{Strip.ranges[KEYS[self.parameter]]}"
        now = pan_text(self.value()) if self.parameter == "pan" else db_text(self.value())
        self.app.push_screen(ValueDialog(f"{name}: {self.parameter} ({allowed})", now, self._take_typed))

    def _take_typed(self, text: str) -> None:
        self._apply(parse_value(self.parameter, text))
        self.host.changed()

    def _apply(self, value: float) -> None:
        if self.on_master:
            self.session.edit_bus(fader_db=value)
        else:
            self.session.edit(self.cursor, **{KEYS[self.parameter]: value})

    def _set(self, value: float) -> None:
        self._edit(lambda: self._apply(value))

    def _edit(self, change: Callable[[], Any]) -> None:
        try:
            change()
        except MixError as error:
            self.host.say(str(error), "warning")
            return
        self.host.changed()

    def action_switch(self, key: str) -> None:
        """Switch mute or solo of the chosen strip."""
        if self.on_master:
            self.host.say("The master has a fader only.")
            return
        strip = self.session.strip(self.cursor)
        self._edit(lambda: self.session.edit(self.cursor, **{key: not getattr(strip, key)}))

    def action_polarity(self) -> None:
        """Invert the chosen strip."""
        if self.on_master:
            self.host.say("The master has a fader only.")
            return
        turned = "normal" if self.session.strip(self.cursor).polarity == "inverted" else "inverted"
        self._edit(lambda: self.session.edit(self.cursor, polarity=turned))

    def action_clear(self, key: str) -> None:
        """Take mute or solo off all strips."""
        self._edit(lambda: self.session.edit_all(**{key: False}))

    def action_play(self) -> None:
        """Play the mix, or stop it."""
        self.host.playing.toggle()
        self.host.redraw()

    def action_loop(self) -> None:
        """Go round the song, or on to its end."""
        self.host.playing.switch_loop()
        self.host.redraw()

    def action_mark(self, edge: int) -> None:
        """Let the loop begin or end here."""
        self.host.playing.mark(edge)
        self.host.redraw()

    def action_skip(self, direction: int) -> None:
        """Go back or forward in the song."""
        self.host.playing.go(direction * SKIP_S)
        self.host.redraw()

    def action_undo(self) -> None:
        """Take the last change back."""
        self._step(self.session.undo(), "Nothing to undo.")

    def action_redo(self) -> None:
        """Do again what was taken back."""
        self._step(self.session.redo(), "Nothing to redo.")

    def _step(self, moved: bool, otherwise: str) -> None:
        if moved:
            self.host.changed()
        else:
            self.host.say(otherwise)


def _face(strip: Strip, where: str, stereo: bool) -> StripFace:
    return StripFace(
        name=strip.name,
        fader_db=strip.fader_db,
        where=where,
        pan=strip.pan,
        send_db=strip.send_db,
        trim_db=strip.trim_db,
        mute=strip.mute,
        solo=strip.solo,
        inverted=strip.polarity == "inverted",
        hpf=strip.hpf_hz != -math.inf,
        eq=_active(strip.eq),
        comp=strip.comp.on,
        stereo=stereo,
    )


def _active(eq: Mapping[str, EqBand]) -> bool:
    return any(band.gain_db != 0.0 for band in eq.values())


def _processing(source: Strip | Bus) -> str:
    parts = []
    if isinstance(source, Strip) and source.hpf_hz != -math.inf:
        parts.append(f"high-pass {source.hpf_hz:g} Hz")
    parts += [
        f"{name} {band.gain_db:+.1f} dB at {band.freq_hz:g} Hz"
        for name, band in source.eq.items()
        if band.gain_db != 0.0
    ]
    if source.comp.on:
        parts.append(_comp(source.comp))
    return " · ".join(parts) or "no filter, equaliser or compressor in use"


def _comp(comp: Comp) -> str:
    return f"compressor {comp.threshold_db:g} dB {comp.ratio:g}:1, {comp.attack_ms:g}/{comp.release_ms:g} ms"


def parse_value(parameter: str, text: str) -> float:
    """Read a value as a person types it: ``-6``, ``-6,5 dB``, ``off``; for a pan ``L30``, ``R100``, ``C``.

    Raises
    ------
    ValueError
        It is no number and no word that the parameter knows.
    """
    word = text.strip().lower().replace("−", "-").replace(",", ".").removesuffix("db").strip()
    if parameter == "pan":
        if word in {"c", "centre", "center"}:
            return 0.0
        if word[:1] in {"l", "r"}:
            word = f"{'-' if word[0] == 'l' else ''}{word[1:].strip()}"
    elif parameter != "trim" and word in {"off", "-inf", "-∞"}:
        return -math.inf
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        examples = "L30, C or 45" if parameter == "pan" else "-6.5" if parameter == "trim" else "-6.5 or off"
        raise ValueError(f'"{text.strip()}" is no value here; type for instance {examples}')
    return value
