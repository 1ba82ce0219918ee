"""Screen 6: devices. Who is there, who they are, when they were last heard, what is wrong; nothing moves."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from controller import devices
from controller.devices import DeviceHealth, RigHealth
from controller.errors import hint_of
from controller.events import Accept, Emit, Started
from controller.studio import Studio
from controller.tui.palette import ACCENT, BLUE, BRIGHT, FAINT, GREEN, INK, RED
from controller.tui.pane import Pane, moment
from controller.tui.rows_view import Column, Row, RowsView
from hardware.device_health import Health, Present
from hardware.errors import HardwareError
from hardware.known import utc_now
from hardware.rig import Device

SIGNS: dict[Present, tuple[str, Style, str]] = {
    "yes": ("●", GREEN, "present"),
    "by-hand": ("○", BLUE, "by hand"),
    "no": ("✕", RED, "no answer"),
    "unknown": ("?", ACCENT, "unknown"),
}
NOT_ASKED = "not asked yet"


class DevicesPane(Pane):
    """One row a device; below, all there is to say of the chosen one."""

    HEADING = "devices"
    ABOUT = (
        "Every device of the rig. r asks each whether it is there and who it is; o closes the port of the chosen one, "
        "finds it again by its name and sees that the same unit is on it. Nothing moves.\n"
        "● present · ○ set by hand, it has no port · ✕ no answer, or no port · ? nobody knows: it was not asked, or "
        "it never answers anything"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "ask", "Ask", id="devices.ask", tooltip="Ask every device whether it is there"),
        Binding("o", "reconnect", "Reconnect", id="devices.reconnect", tooltip="Open the chosen device's port again"),
        Binding("n", "next(1)", "Next", id="devices.next", tooltip="Next device with something wrong"),
        Binding("N", "next(-1)", "Previous fault", id="devices.previous", show=False),
    ]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through as they came
        self.found: RigHealth | None = None
        self._asked_at = ""

    def compose(self) -> ComposeResult:
        """Lay out the count, the list and the facts."""
        yield Static(id="devices-count", classes="headline", markup=False)
        columns = (Column(), Column(), Column(), Column(), Column(), Column(), Column(grows=True))
        yield RowsView(columns, id="devices-list")
        yield Static(id="devices-facts", markup=False)

    @property
    def view(self) -> RowsView:
        """The list."""
        return self.query_one(RowsView)

    def focus_main(self) -> None:
        """Focus the list."""
        self.screen.set_focus(self.view)

    def show_session(self) -> None:
        """Draw the list."""
        self.query_one("#devices-count", Static).update(self._count())
        self.view.show([_row(each, asked=self.found is not None) for each in self.known()], empty=self._empty())
        self._draw_facts()

    def known(self) -> tuple[DeviceHealth, ...]:
        """Return what was found of each device, or before anybody asked, what the rig says of it."""
        studio = self.session.studio
        if self.found is not None:
            return self.found.devices
        if studio is None:
            return ()
        return tuple(
            DeviceHealth(device, Health("by-hand" if device.transport == "hand" else "unknown"), None)
            for device in studio.rig.devices.values()
        )

    def _count(self) -> str:
        if self.session.studio is None:
            return "devices"
        title = self.session.studio.rig.title
        if self.found is None:
            return f"{title}: {len(self.known())} devices, not asked yet · r asks them"
        wrong = sum(bool(each.health.troubles) for each in self.found.devices)
        told = f"{wrong} of {len(self.found.devices)} need a look" if wrong else "nothing is wrong"
        return f"{title}: {told} · asked {moment(self._asked_at)} · r asks again"

    def _empty(self) -> str:
        if self.session.rig_error:
            return f"The rig cannot be read:\n{self.session.rig_error}"
        return "This rig has no device.\nName its devices in the rig file."

    def _chosen(self) -> DeviceHealth | None:
        return next((each for each in self.known() if each.device.name == self.view.key), None)

    @on(RowsView.Moved)
    def _on_moved(self) -> None:
        self._draw_facts()

    def _draw_facts(self) -> None:
        chosen = self._chosen()
        text = Text() if chosen is None else facts_text(chosen, asked=self.found is not None)
        self.query_one("#devices-facts", Static).update(text)

    def action_next(self, direction: int) -> None:
        """Go to the next device with something wrong."""
        wrong = [each.device.name for each in self.known() if each.health.troubles]
        names = [row.key for row in self.view.rows]
        if not wrong:
            self.host.say("Nothing is wrong." if self.found is not None else "r asks the devices first.")
            return
        order = [names[(self.view.cursor + direction * step) % len(names)] for step in range(1, len(names) + 1)]
        self.view.stand_on(next(name for name in order if name in wrong))

    def action_ask(self) -> None:
        """Ask every device whether it is there and who it is."""
        session = self.session
        if session.studio is None:
            self.host.say(self._empty(), "warning")
            return

        def work(emit: Emit, accept: Accept) -> RigHealth:
            return session.with_studio(lambda studio: devices.examine(studio, emit=emit))

        self.host.run_job("devices", work, self._take)

    def _take(self, found: RigHealth) -> None:
        self.found, self._asked_at = found, utc_now()

    def action_reconnect(self) -> None:
        """Open the chosen device's port again, see that the same unit is there, and ask all devices anew."""
        chosen, session, host = self._chosen(), self.session, self.host
        if chosen is None:
            host.say(self._empty(), "warning")
            return
        device = chosen.device
        if device.transport == "hand":
            host.say(f"{device.name} is set by hand: it has no port.")
            return

        def work(emit: Emit, accept: Accept) -> tuple[RigHealth, HardwareError | None]:
            def reopened(studio: Studio) -> tuple[RigHealth, HardwareError | None]:
                emit(Started("reconnect", device.name))
                failed: HardwareError | None = None
                try:
                    studio.reopen(device.name)
                except HardwareError as error:
                    failed = error
                return devices.examine(studio, emit=emit), failed

            return session.with_studio(reopened)

        def landed(result: tuple[RigHealth, HardwareError | None]) -> None:
            found, failed = result
            self._take(found)
            if failed is None:
                host.say(f"{device.name} is connected again.")
            else:
                host.say(f"{device.name} is not connected: {failed} {hint_of(failed)}".strip(), "problem")

        host.run_job("reconnect", work, landed)


def _who(found: DeviceHealth) -> tuple[str, Style]:
    identity = found.health.identity
    if identity is None:
        return found.device.profile_id, FAINT
    others = [str(value) for name, value in identity.fields.items() if name != "firmware"]
    model = " ".join(others) or identity.profile
    return (f"{model}, firmware {found.firmware}" if found.firmware is not None else model), INK


def _sign(found: DeviceHealth, *, asked: bool) -> tuple[str, Style, str]:
    sign, style, word = SIGNS[found.health.present]
    return sign, style, word if asked or found.health.present == "by-hand" else NOT_ASKED


def _row(found: DeviceHealth, *, asked: bool) -> Row:
    sign, style, word = _sign(found, asked=asked)
    troubles = " ".join(f"{trouble.what} {trouble.hint}".strip() for trouble in found.health.troubles)
    heard = moment(found.last_heard) if found.last_heard else "never" if asked else "–"
    return Row(
        found.device.name,
        (
            (sign, style),
            (found.device.name, BRIGHT),
            word,
            _who(found),
            (_port(found.device), FAINT),
            (heard, INK),
            (troubles, RED if troubles else FAINT),
        ),
    )


def _port(device: Device) -> str:
    return "no port" if device.transport in ("", "hand") else device.port


def facts_text(found: DeviceHealth, *, asked: bool) -> Text:
    """Write all there is to say of one device, its troubles in full, each with what to do."""
    device, health = found.device, found.health
    sign, style, word = _sign(found, asked=asked)
    text = Text()
    text.append(f"{sign} {device.name} ", style)
    text.append(f"{word} · {device.profile_id} · {_port(device)}")
    if health.identity is not None:
        text.append(f"\n  says: {health.identity.text}")
    if found.last_heard:
        text.append(f"\n  last heard {moment(found.last_heard)}", FAINT)
    for trouble in health.troubles:
        text.append(f"\n✕ {trouble.what}", RED)
        if trouble.hint:
            text.append(f"\n  → {trouble.hint}")
    if asked and health.present == "unknown":
        text.append("\n  It answers nothing that its profile knows: nobody can tell whether it is there.", FAINT)
    if health.present == "by-hand":
        text.append("\n  Hands set it: 2 shows what is left for them.", FAINT)
    return text
