"""Say what is left after a null: an accumulator over blocks of any size, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.errors import DspError, ShapeError
from dsp.levels import dbfs_from_rms
from dsp.null.bands import BlockPowers
from dsp.null.explanation import Explanation, Moment, Noise
from dsp.null.gain_causes import cause_of
from dsp.null.residual_clicks import CONTEXT, ClickFinder
from dsp.null.residual_clipping import ClipMeter
from dsp.null.residual_frames import FrameSums, frame_frames, power_law
from dsp.null.residual_gain import gain_tracks
from dsp.null.residual_noise import best_noise, dc_levels, find_hum, incoherent_noise, quiet_level
from dsp.null.residual_shares import shares_of, untold
from dsp.null.residual_spectra import SpectrumSums, band_levels, coherence, fine_spectrum

Floats = NDArray[np.float64]

BLOCK_S = 0.5
HOPS = (32, 16, 8, 4)  # of 20 ms frames: half a window of the long spectra, 1.28 s where the recording allows
WINDOWS = 7  # that must fit in what is expected, or the window is halved


class Explainer:
    """Collect what explains a residual from blocks handed over in order; any sizes give the same answer.

    Parameters
    ----------
    rate_hz
        Sample rate [Hz].
    channels
        Of model and recording.
    first_frame
        Of the recording, where the first block begins.
    expected_frames
        How long all of it will be, where that is known: a short recording gets shorter spectra.
    """

    def __init__(
        self, *, rate_hz: int, channels: int, first_frame: int | None = None, expected_frames: int | None = None
    ) -> None:
        self.rate_hz, self.channels = rate_hz, channels
        frame = frame_frames(rate_hz)
        hops = [h for h in HOPS if expected_frames is None or (WINDOWS + 1) * h * frame <= expected_frames]
        self._hop = frame * (hops[0] if hops else HOPS[-1])
        self._frame = frame
        self._first = first_frame
        self._spectra = SpectrumSums(rate_hz=rate_hz, channels=channels, frames=2 * self._hop)
        self._frames = FrameSums(rate_hz=rate_hz, channels=channels)
        self._blocks = BlockPowers(block_frames=round(BLOCK_S * rate_hz))
        self._clicks = ClickFinder(rate_hz=rate_hz)
        self._clips = ClipMeter(channels=channels)
        self._model = np.zeros((channels, 0))
        self._heard = np.zeros((channels, 0))
        self._clean = np.zeros((channels, 0))
        self._waiting: list[tuple[Floats, Floats]] = []
        self._base = 0
        """Frame of the buffers' first, counted from the first added; the buffers reach one hop back."""
        self._done = 0
        self._total = 0
        self._sum, self._squares, self._own = np.zeros(channels), np.zeros(channels), np.zeros(channels)
        self._cut = 0.0
        """Sum of squares of the residual on flat tops."""
        self._finished = False

    def add(self, first_frame: int, model: Floats, heard: Floats) -> None:
        """Add a block that follows on the one before: (channels, frames) each, the model as B should be.

        Raises
        ------
        ShapeError
            The two differ in shape, or from what was announced.
        DspError
            Samples that are not numbers, a block that does not follow on, or one after the result was read.
        """
        if model.shape != heard.shape or model.ndim != 2 or model.shape[0] != self.channels:
            raise ShapeError(
                f"A block has shapes {model.shape} and {heard.shape}; both must be ({self.channels}, frames).",
                hint="Hand over aligned stretches of equal length.",
            )
        if self._finished:
            raise DspError("The explanation was already read; no block can follow.", hint="Begin with a new one.")
        if self._first is None:
            self._first = first_frame
        if first_frame != self._first + self._total:
            raise DspError(
                f"A block begins at frame {first_frame} where {self._first + self._total} was due.",
                hint="Hand the blocks over in order and without gaps.",
            )
        if not (np.all(np.isfinite(model)) and np.all(np.isfinite(heard))):
            raise DspError("A block holds samples that are not numbers.", hint="Render or record it again.")
        self._total += model.shape[1]
        self._waiting.append((np.array(model, np.float64), np.array(heard, np.float64)))
        if self._total < self._done + self._hop + CONTEXT:
            return
        self._join()
        while self._total >= self._done + self._hop + CONTEXT:
            self._work(self._hop)

    def _join(self) -> None:
        """Put the waiting blocks behind the buffers."""
        model, heard = (np.concatenate([block[n] for block in self._waiting], axis=1) for n in (0, 1))
        self._waiting.clear()
        self._model = np.concatenate([self._model, model], axis=1)
        self._heard = np.concatenate([self._heard, heard], axis=1)
        self._clean = np.concatenate([self._clean, heard - model], axis=1)

    def _work(self, frames: int) -> None:
        """Take in the next ``frames`` frames; at least CONTEXT more lie behind them, save at the end."""
        low = self._done - self._base
        high = low + frames
        begin, end = max(0, low - CONTEXT), min(self._model.shape[1], high + CONTEXT)
        around, own = slice(begin, end), slice(low, high)
        inner = (low - begin, high - begin)
        first = (self._first or 0) + self._done - inner[0]
        model, heard = self._model[:, around], self._heard[:, around]
        flat = self._clips.add(model, heard, first_frame=first, inner=inner)
        faulty = self._clicks.add(model, heard, first_frame=first, inner=inner, clipped=flat)
        raw = self._heard[:, own] - self._model[:, own]
        self._blocks.add(raw, self._heard[:, own])
        self._squares += np.einsum("cn,cn->c", raw, raw)
        self._own += np.einsum("cn,cn->c", self._heard[:, own], self._heard[:, own])
        cut = flat[:, inner[0] : inner[1]] & ~faulty[:, inner[0] : inner[1]]
        self._cut += float(np.sum(raw[cut] ** 2))
        faulty |= flat
        self._clean[:, own][faulty[:, inner[0] : inner[1]]] = 0.0
        self._sum += self._clean[:, own].sum(axis=1)
        whole = frames // self._frame * self._frame
        if whole:
            self._frames.add(self._model[:, low : low + whole], self._clean[:, low : low + whole])
        if frames == self._hop and low >= self._hop:
            window = slice(low - self._hop, high)
            self._spectra.add(self._model[:, window], self._clean[:, window])
        self._done += frames
        drop = max(0, self._done - self._hop - self._base)
        if drop:
            self._model, self._heard, self._clean = (x[:, drop:] for x in (self._model, self._heard, self._clean))
            self._base += drop

    def result(self, *, noise_dbfs: float | None = None) -> Explanation:
        """Return the explanation; no block can be added after.

        Parameters
        ----------
        noise_dbfs
            Noise of the recording where it is known, RMS per channel [dBFS, AES17].

        Raises
        ------
        DspError
            Nothing was added.
        """
        if self._total == 0:
            raise DspError("There is nothing to explain: no block was added.", hint="Check the overlap of the files.")
        if self._waiting:
            self._join()
        while self._done < self._total:
            self._work(min(self._hop, self._total - self._done))
        self._finished = True
        first = self._first or 0
        split = coherence(self._spectra)
        law = power_law(self._frames)
        tracks = gain_tracks(self._frames, law, first_frame=first)
        power = self._squares / self._total
        faulty = self._clicks.power / (self._total * self.channels)
        quiet = quiet_level(self._frames)
        incoherent = incoherent_noise(self._spectra, split)
        dc = dc_levels(self._sum / self._total, self._spectra, frames=self._total)
        level = best_noise(noise_dbfs, quiet)
        cut = self._cut / (self._total * self.channels)
        shares = shares_of(power, faulty, cut, split, self._spectra, law, tracks, dc, noise=level)
        clicks, dropouts = self._clicks.found()
        harmonic = law.power.sum(axis=(0, 2)).tolist()
        causes = tuple(cause_of(track, harmonic=own) for track, own in zip(tracks, harmonic, strict=True))
        residual, programme = float(np.mean(power)), float(np.mean(self._own)) / self._total
        return Explanation(
            rate_hz=self.rate_hz,
            first_frame=first,
            frames=self._total,
            programme_dbfs=dbfs_from_rms(np.sqrt(programme)),
            residual_dbfs=dbfs_from_rms(np.sqrt(residual)),
            depth_db=_depth(residual, programme),
            bands=band_levels(self._spectra, split),
            over_time=self._moments(first),
            spectrum=fine_spectrum(self._spectra, split),
            noise=Noise(
                level if level.observable else incoherent, quiet, incoherent, dc, find_hum(self._spectra, split)
            ),
            shares=shares,
            untold=untold(level, self._spectra, self._frames, causes),
            gain=tracks,
            gain_cause=causes,
            harmonic=law,
            clipping=self._clips.result(),
            clicks=clicks,
            click_count=self._clicks.click_count,
            dropouts=dropouts,
            dropout_count=self._clicks.dropout_count,
        )

    def _moments(self, first: int) -> tuple[Moment, ...]:
        out: list[Moment] = []
        step = self._blocks.block_frames
        for n, (left, heard) in enumerate(self._blocks.powers()):
            frames = min(step, self._total - n * step)
            level = dbfs_from_rms(float(np.sqrt(left / (frames * self.channels)))) if left > 0.0 else None
            at_s = (first + n * step) / self.rate_hz
            out.append(Moment(at_s, frames / self.rate_hz, _depth(left, heard), level))
        return tuple(out)


def _depth(left: float, heard: float) -> float | None:
    return 10.0 * float(np.log10(left / heard)) if left > 0.0 and heard > 0.0 else None
