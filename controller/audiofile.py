"""Reading people's audio: WAV, RF64, AIFF and FLAC, checked before a sample of it is trusted.

With ``flac``, the only file that imports soundfile. libsndfile shortens a truncated WAV or AIFF without a word,
so their headers are compared with the length of the file here first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from controller.errors import AudioFileError
from controller.files import relative, storage_errors
from controller.wav import wav_layout
from controller.wav_samples import SUBTYPES, WavSamples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]

SUFFIXES = frozenset({".wav", ".wave", ".bwf", ".rf64", ".aif", ".aiff", ".aifc", ".flac"})
FORMATS = frozenset({"WAV", "WAVEX", "RF64", "AIFF", "FLAC"})
_SCAN_FRAMES = 65_536


@dataclass(frozen=True)
class AudioFacts:
    """What an audio file's header says. ``subtype`` is soundfile's word: ``PCM_16``, ``PCM_24``, ``FLOAT``."""

    path: Path
    format: str
    subtype: str
    channels: int
    frames: int
    rate_hz: int

    @property
    def seconds(self) -> float:
        """Length [s]."""
        return self.frames / self.rate_hz


def probe(path: Path) -> AudioFacts:
    """Read the header of an audio file and hold it against the file's length.

    Raises
    ------
    AudioFileError
        No audio, not one of the formats, truncated (with the numbers), or empty.
    StorageError
        The file cannot be read.
    """
    import soundfile

    with storage_errors(path, verb="read"), path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise AudioFileError(f"{relative(path)} is empty (0 bytes)", hint="Export the file again.")
    _check_length(path, start)
    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{relative(path)} is not an audio file that can be read: {_why_not_audio(start, error)}",
            hint="Stems are WAV, RF64, AIFF or FLAC.",
        ) from error
    if info.format not in FORMATS:
        raise AudioFileError(
            f"{relative(path)} holds {info.format_info}, and stems are WAV, RF64, AIFF or FLAC",
            hint="Export it as WAV.",
        )
    if info.frames <= 0:
        raise AudioFileError(f"{relative(path)} holds no audio: its header says 0 frames", hint="Export it again.")
    return AudioFacts(path, info.format, info.subtype, info.channels, info.frames, info.samplerate)


class AudioReader:
    """An audio file read in blocks, from the start on.

    Raises what :func:`probe` raises, when it is made.
    """

    def __init__(self, path: Path) -> None:
        self.facts = probe(path)
        self._position = 0
        self._file: WavSamples | _Decoded = _opened(self.facts)

    @property
    def position(self) -> int:
        """The frame that the next read begins with."""
        return self._position

    def read(self, frames: int) -> Block:
        """Read at most ``frames`` frames: shape (n, channels), float32, full scale 1.0; fewer only at the end.

        Raises
        ------
        AudioFileError
            The file ends before its header says, cannot be decoded, or a sample is NaN or infinite (with its
            place).
        """
        import numpy as np

        wanted = max(0, min(frames, self.facts.frames - self._position))
        block: Block = np.empty((wanted, self.facts.channels), np.float32)
        self.fill(block)
        if not np.isfinite(block).all():
            self._refuse_what_is_no_number(block)
        return block

    def fill(self, block: Block) -> None:
        """Read the next frames into ``block`` (n, channels), C-ordered; behind the file's end there is silence.

        Raises what :meth:`read` raises, but that samples may be no numbers: whoever works on them sees that.
        """
        facts, position = self.facts, self._position
        wanted = max(0, min(len(block), facts.frames - position))
        heard = block
        if wanted < len(block):
            block[wanted:] = 0.0
            heard = block[:wanted]
        if wanted:
            found = self._file.read(heard)
            if found < wanted:
                raise AudioFileError(
                    _short(facts.path, facts.frames, position + found), hint="Export or copy it again."
                )
        self._position += wanted

    def _refuse_what_is_no_number(self, heard: Block) -> None:
        import numpy as np

        facts = self.facts
        row, channel = np.argwhere(~np.isfinite(heard))[0].tolist()
        frame = self._position - len(heard) + row
        kind = "not a number (NaN)" if np.isnan(heard[row, channel]) else "infinite"
        where = f"frame {frame} ({frame / facts.rate_hz:.3f} s) of channel {channel + 1}"
        raise AudioFileError(
            f"{relative(facts.path)}: {where} is {kind}",
            hint="Render the file again; a plug-in that failed writes such samples.",
        )

    def seek(self, frame: int) -> None:
        """Go to ``frame``, 0 up to the file's length; beyond it, to its end."""
        self._position = min(max(frame, 0), self.facts.frames)
        self._file.seek(self._position)

    def close(self) -> None:
        """Release the file; harmless when called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Decoded:
    """A file that soundfile decodes."""

    def __init__(self, facts: AudioFacts) -> None:
        import soundfile

        self._facts = facts
        self._file = soundfile.SoundFile(str(facts.path))

    def read(self, out: Block) -> int:
        """Fill ``out`` (n, channels) with the next frames; return how many there were."""
        import soundfile

        facts, position = self._facts, self._file.tell()
        try:
            return len(self._file.read(len(out), dtype="float32", always_2d=True, out=out))
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{relative(facts.path)} cannot be decoded after frame {position} of {facts.frames} "
                f"({position / facts.rate_hz:.3f} s): the file is damaged or truncated",
                hint="Export or copy it again.",
            ) from error

    def seek(self, frame: int) -> None:
        self._file.seek(frame)

    def close(self) -> None:
        self._file.close()


def _opened(facts: AudioFacts) -> WavSamples | _Decoded:
    """Return what reads the samples: a WAV's own, straight from the file; all others decoded by soundfile."""
    if facts.subtype in SUBTYPES:
        with facts.path.open("rb") as file:
            is_wav = file.read(4) in (b"RIFF", b"RF64", b"BW64")
        layout = wav_layout(facts.path) if is_wav else None
        if layout is not None and layout.align == SUBTYPES[facts.subtype] * facts.channels:
            return WavSamples(facts.path, facts.subtype, facts.channels, layout.data_at)
    return _Decoded(facts)


def scan(path: Path, *, progress: Callable[[int], None] | None = None) -> AudioFacts:
    """Read a file to its end, as proof that every sample is there and finite.

    ``progress`` is called with the frames read so far. Raises what :func:`probe` and :meth:`AudioReader.read` raise.
    """
    with AudioReader(path) as reader:
        while reader.position < reader.facts.frames:
            reader.read(_SCAN_FRAMES)
            if progress is not None:
                progress(reader.position)
        return reader.facts


def read_audio(path: Path) -> tuple[Block, int]:
    """Read a whole file: samples, shape (frames, channels), float32, full scale 1.0, and the rate [Hz].

    Raises what :func:`probe` and :meth:`AudioReader.read` raise.
    """
    with AudioReader(path) as reader:
        return reader.read(reader.facts.frames), reader.facts.rate_hz


def _check_length(path: Path, start: bytes) -> None:
    if start[:4] in (b"RIFF", b"RF64", b"BW64"):
        layout = wav_layout(path)
        if layout is None:
            if start[8:12] == b"WAVE":
                raise AudioFileError(
                    f"{relative(path)} is truncated: its WAV header ends before any audio", hint="Copy it again."
                )
            return
        promised, held, align = layout.declared_bytes, layout.held_bytes, layout.align
        if promised == 0 and held >= max(align, 2):
            raise AudioFileError(
                f"{relative(path)} was never closed: its header says 0 frames, {held} bytes follow",
                hint="Repair its header first, or export it again.",
            )
    elif start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        promised, held, align = _aiff_lengths(path)
    else:
        return
    if promised is not None and align and promised // align > held // align:
        raise AudioFileError(_short(path, promised // align, held // align), hint="Export or copy it again.")


def _aiff_lengths(path: Path) -> tuple[int | None, int, int]:
    # Audio Interchange File Format 1.3 (Apple): COMM = channels, frames, bits; SSND = offset, block size, samples.
    align = frames = 0
    with storage_errors(path, verb="read"), path.open("rb") as file:
        length = path.stat().st_size
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack(">4sL", header)
            at = file.tell()
            if name == b"COMM" and len(comm := file.read(8)) == 8:
                channels, frames, bits = struct.unpack(">hLh", comm)
                align = channels * ((bits + 7) // 8)
            elif name == b"SSND":
                return size - 8, max(0, length - at - 8), align or 1
            file.seek(at + size + size % 2)
    return frames * align, 0, align


def _short(path: Path, promised: int, held: int) -> str:
    return f"{relative(path)} is truncated: its header promises {promised} frames, the file holds {held}"


def _why_not_audio(start: bytes, error: Exception) -> str:
    text = start.decode("utf-8", "replace")
    if "\0" not in text and "\ufffd" not in text[:-4]:
        return f'it is a text file that begins with "{" ".join(text.split())[:40]}"'
    return str(getattr(error, "error_string", error)).rstrip(".").lower()
