"""Every unit of messages that a device may send, with what it means; from its profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hardware.wire.heard import Accepted, Change, Heard, Refusal, Report, Touch
from hardware.wire.patterns import Numbers, Slot, solved
from profiles.errors import ValueRangeError
from profiles.profile import Control, Profile
from profiles.template import Template


@dataclass(frozen=True, eq=False)
class Meaning:
    """What a recognised unit means: a control's setting by its codes ``low`` to ``high``, or what it ``says``.

    ``codes`` explain the numbers of a refusal; one that carries no number is code 0. None of these: it means nothing,
    and is passed over.
    """

    control: Control | None = None
    low: float = 0.0
    high: float = 0.0
    open: bool = False
    says: Heard | None = None
    codes: dict[int, str] | None = None

    @property
    def silent(self) -> bool:
        """Whether it is a message to pass over."""
        return self.control is None and self.says is None and self.codes is None

    def tell(self, numbers: Numbers | None, said: bytes | str) -> Heard | None:
        """Say what it means with these numbers; None when they make no sense there."""
        if numbers is None:
            return None
        if self.codes is not None:
            code = numbers.get("code", 0)
            text = self.codes.get(code if isinstance(code, int) else -1, "a refusal its profile does not explain")
            return Refusal(None, said if isinstance(said, str) else said.hex(" ").upper(), text)
        if self.control is None:
            return Report(self.says.means, numbers) if isinstance(self.says, Report) and numbers else self.says
        raw = numbers.get("v") if self.open else int(self.low)
        return self._change(self.control, raw) if isinstance(raw, int) else None

    def tell_number(self, number: int, slot: Slot) -> Heard | None:
        """Say what it means when the bits of its one open field are put together to ``number``."""
        raw = solved(slot, number)
        return None if raw is None or self.control is None else self._change(self.control, raw)

    def _change(self, control: Control, raw: int) -> Change | None:
        if not self.low <= raw <= self.high:
            return None
        try:
            return Change(control.name, control.from_raw(raw), raw)
        except ValueRangeError:
            return None


class Unit(NamedTuple):
    """Messages that belong together, what they are stamped with, and what they mean."""

    templates: tuple[Template, ...]
    variables: Mapping[str, int]
    meaning: Meaning


def units_of(profile: Profile) -> Iterator[Unit]:
    """List everything the device may say, dumps left out."""
    base = {"c": profile.midi_channel - 1}
    for control in profile.controls.values():
        variables = control.variables
        for form in control.forms if control.listened else ():
            if not form.reply:
                continue
            opened = any("v" in template.variables for template in form.reply)
            meaning = Meaning(control, form.low, form.high, opened)
            if profile.text:  # of a serial reply each line stands alone
                for template in form.reply:
                    yield Unit((template,), variables, meaning)
            else:
                yield Unit(form.reply, variables, meaning)
        if control.refused is not None:
            refusal = Refusal(control.name, "NAK", "refused by the device")
            yield Unit((control.refused,), variables, Meaning(says=refusal))
        if control.touch is not None:
            yield Unit(control.touch.on, variables, Meaning(says=Touch(control.name, on=True)))
            yield Unit(control.touch.off, variables, Meaning(says=Touch(control.name, on=False)))
    for refused in profile.refusals:
        yield Unit((refused.reply,), base, Meaning(codes=dict(refused.codes)))
    yield from (Unit((template,), base, Meaning(says=Accepted())) for template in profile.accepted)
    if profile.identity is not None:
        yield Unit((profile.identity.reply,), base, Meaning(says=Report("identity")))
    if profile.keep_alive is not None and profile.keep_alive.expect is not None:
        yield Unit((profile.keep_alive.expect,), base, Meaning(says=Report("alive")))
    for exchange in profile.session:
        if exchange.expect is not None:
            yield Unit((exchange.expect,), base, Meaning(says=Report("session")))
    yield from (Unit((report.reply,), base, Meaning(says=Report(report.means))) for report in profile.reports)
    yield from (Unit((template,), base, Meaning()) for template in profile.ignored)
