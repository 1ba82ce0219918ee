"""Every figure a calibration can hold: its key, unit, part, definition, and the tolerance it has by default.

The table drives JSON, CSV, history, tolerances and report alike: a figure that is not in it does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

Part = Literal["patch", "latency", "levels", "response", "distortion", "noise", "crosstalk", "clock"]
PARTS: tuple[Part, ...] = ("patch", "latency", "levels", "response", "distortion", "noise", "crosstalk", "clock")


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured number on file: ``value`` and ``sd`` in the unit its key ends in; None where none was observable.

    ``note`` says why there is no number, or what the number is subject to.
    """

    value: float | None
    sd: float | None = None
    note: str = ""


@dataclass(frozen=True)
class FigureKind:
    """What one key means.

    ``definition`` is printed wherever the number is. ``tolerance`` is the largest change from the calibration before
    that counts as none; None where a change is no fault.
    """

    key: str
    label: str
    unit: str
    part: Part
    definition: str
    digits: int = 2
    tolerance: float | None = None

    @property
    def short(self) -> str:
        """A word for the head of a column, among those of its part."""
        return _SHORT.get(self.key, self.label)


_SHORT = {
    "latency_phase_samples": "phase fs/16",
    "latency_group_samples": "group 1–4k",
    "latency_fit_samples": "pure delay",
    "gain_997_db": "997 Hz",
    "response_low_db": "20 Hz",
    "response_high_db": "20 kHz",
    "highpass_hz": "coupling",
    "lowpass_hz": "low-pass",
    "noise_a_dbfs": "A",
    "noise_ccir_dbfs": "CCIR",
    "thdn_db": "THD+N",
    "thdn_notch_db": "notch",
    "imd_smpte_db": "SMPTE",
    "imd_ccif_d2_db": "d2",
    "imd_ccif_d3_db": "d3",
    "dynamic_range_db": "DR",
    "crosstalk_100_db": "100 Hz",
    "crosstalk_1k_db": "1 kHz",
    "crosstalk_10k_db": "10 kHz",
    "crosstalk_worst_db": "worst",
}
_BAND = "20 Hz to 20 kHz"
KINDS: tuple[FigureKind, ...] = (
    FigureKind(
        "latency_samples", "latency", "samples", "latency",
        f"most likely delay of a flat path, all tones of the loop, {_BAND}", 4, 0.01,
    ),
    FigureKind(
        "latency_phase_samples", "phase delay at fs/16", "samples", "latency",
        "phase delay at a sixteenth of the sample rate, polarity taken out: what jack_delay and jack_iodelay read", 4,
    ),
    FigureKind(
        "latency_group_samples", "group delay 1–4 kHz", "samples", "latency",
        "slope of the phase over frequency, least squares, 1 kHz to 4 kHz", 4,
    ),
    FigureKind(
        "latency_fit_samples", "pure delay", "samples", "latency",
        "delay of the fit of delay, coupling corners and low-pass corner to the complex response", 4,
    ),
    FigureKind(
        "skew_samples", "skew", "samples", "latency",
        "latency re the median latency of all loops of the same capture", 4, 0.01,
    ),
    FigureKind("gain_db", "gain", "dB", "levels", f"least-squares real gain, input re output, {_BAND}", 3, 0.05),
    FigureKind("gain_997_db", "gain at 997 Hz", "dB", "levels", "gain of a 997 Hz sine of −20 dBFS", 3, 0.05),
    FigureKind(
        "linearity_db", "linearity", "dB", "levels",
        "largest change of gain with level, 997 Hz from −60 dBFS up to 1 dB below the clip point, re −20 dBFS", 3, 0.1,
    ),
    FigureKind(
        "clip_dbfs", "clip point", "dBFS", "levels",
        "output level of a 997 Hz sine at which the gain has fallen by 0.1 dB or THD+N reached 1 % (−40 dB)", 1, 0.5,
    ),
    FigureKind(
        "response_low_db", "response at 20 Hz", "dB", "response", "gain at 20 Hz re 997 Hz", 3, 0.1,
    ),
    FigureKind(
        "response_high_db", "response at 20 kHz", "dB", "response", "gain at 20 kHz re 997 Hz", 3, 0.1,
    ),
    FigureKind(
        "ripple_db", "ripple", "dB", "response", "largest less smallest gain, 40 Hz to 15 kHz", 3, 0.1,
    ),
    FigureKind(
        "highpass_hz", "coupling corner", "Hz", "response",
        "−3 dB corner of the fitted couplings (first-order high-passes) taken together", 3,
    ),
    FigureKind(
        "lowpass_hz", "low-pass corner", "Hz", "response", "corner of the fitted second-order Butterworth low-pass", 0,
    ),
    FigureKind("noise_dbfs", "noise", "dBFS", "noise", f"RMS {_BAND}, digital silence played, AES17 level", 2, 1.0),
    FigureKind("noise_a_dbfs", "noise, A", "dBFS", "noise", "the same, A-weighted (IEC 61672-1)", 2, 1.0),
    FigureKind(
        "noise_ccir_dbfs", "noise, CCIR-RMS", "dBFS", "noise",
        "the same, weighted after ITU-R BS.468 with unity gain at 2 kHz, RMS (AES17 CCIR-RMS)", 2, 1.0,
    ),
    FigureKind("hum_dbfs", "hum", "dBFS", "noise", "mains and its harmonics up to the twentieth, together", 2, 3.0),
    FigureKind("dc_fs", "DC", "full scale", "noise", "mean over whole mains periods", 7, 1e-4),
    FigureKind(
        "thd_db", "THD", "dB", "distortion", "RMS of H2 to H9 re H1, 997 Hz, bias of the noise taken off", 2, 1.0,
    ),
    FigureKind(
        "thdn_db", "THD+N", "dB", "distortion",
        f"RMS {_BAND} of what a least-squares sine leaves, re the total RMS, 997 Hz", 2, 1.0,
    ),
    FigureKind(
        "thdn_notch_db", "THD+N, notch", "dB", "distortion",
        f"RMS {_BAND} behind the standard notch (AES17, its Q stands in the note), re the total RMS, 997 Hz", 2, 1.0,
    ),
    FigureKind(
        "imd_smpte_db", "IMD SMPTE", "dB", "distortion",
        "60 Hz and 7 kHz, 4:1: sidebands of first and second order re 7 kHz", 2, 1.0,
    ),
    FigureKind(
        "imd_ccif_d2_db", "IMD CCIF d2", "dB", "distortion", "19 and 20 kHz, equal: 1 kHz re their sum", 2, 1.0,
    ),
    FigureKind(
        "imd_ccif_d3_db", "IMD CCIF d3", "dB", "distortion", "19 and 20 kHz, equal: 18 and 21 kHz re their sum", 2, 1.0,
    ),
    FigureKind(
        "dynamic_range_db", "dynamic range", "dB", "distortion",
        "CCIR-RMS of what remains beside a 997 Hz sine of −60 dBFS, re full scale (AES17)", 2, 1.0,
    ),
    FigureKind(
        "crosstalk_100_db", "crosstalk at 100 Hz", "dB", "crosstalk",
        "worst leak of this output into another loop's input, re that loop's own gain, at 100 Hz", 1, 6.0,
    ),
    FigureKind("crosstalk_1k_db", "crosstalk at 1 kHz", "dB", "crosstalk", "the same at 1 kHz", 1, 6.0),
    FigureKind("crosstalk_10k_db", "crosstalk at 10 kHz", "dB", "crosstalk", "the same at 10 kHz", 1, 6.0),
    FigureKind("crosstalk_worst_db", "worst crosstalk", "dB", "crosstalk", f"the same, worst of {_BAND}", 1, 6.0),
    FigureKind(
        "drift_ppm", "clock drift", "ppm", "clock",
        "growth of the delay; positive when the input's clock runs fast against the output's", 4, 0.01,
    ),
)  # fmt: skip
BY_KEY: dict[str, FigureKind] = {kind.key: kind for kind in KINDS}
