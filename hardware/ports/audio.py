"""Audio through PortAudio, in a process of its own: what the workflows hold is this side of it.

A Python callback beside a busy thread misses its deadlines whenever the other thread holds the interpreter; in another
process it does not. So the stream lives in ``python -m hardware.audio_process``, and this side feeds and drains its
rings from the thread that called `AudioStream.run`. PortAudio is never imported here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hardware.errors import AudioError, ChannelCountError
from hardware.ports.audio_child import POLL_S, AudioChild, command, environment, last_line, own_session, room_for, told
from hardware.seams import RunReport, Sink, Source, Xrun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hardware.audio_process.rings import Rings

RING_S = 4.0
_OPEN_S = 30.0
_PROGRESS_S = 0.1
_CHUNK_SLOTS = 32
_XRUN_KINDS: dict[int, Any] = {1: "input", 2: "output", 3: "feeder", 4: "feeder"}


@dataclass(frozen=True)
class AudioDeviceInfo:
    """One audio device as the system names it."""

    name: str
    host_api: str
    inputs: int
    outputs: int
    rate_hz: float = 0.0


def list_audio_devices(*, timeout_s: float = 30.0) -> list[AudioDeviceInfo]:
    """List every audio device of every host API, looked up by the audio process.

    Raises
    ------
    AudioUnavailableError
        PortAudio is missing or does not start.
    AudioError
        The look-up crashed or took longer than ``timeout_s`` [s].
    """
    try:
        done = subprocess.run(
            command({"list": True}),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env=environment(),
            **own_session(),
        )
    except subprocess.TimeoutExpired as error:
        raise AudioError(
            f"Looking for audio devices took longer than {timeout_s:.0f} s.",
            hint="A driver or a stalled JACK server is in the way; restart it and try again.",
        ) from error
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise AudioError(
            f"Looking for audio devices ended with status {done.returncode}.",
            hint=last_line(done.stderr.decode("utf-8", "replace")),
        ) from None
    if "error" in answer:
        raise told(answer)
    return [
        AudioDeviceInfo(found["name"], found["host_api"], found["inputs"], found["outputs"], found["rate_hz"])
        for found in answer["devices"]
    ]


def open_audio(
    device: str,
    *,
    host_api: str = "",
    rate_hz: int,
    block_frames: int,
    outputs: int,
    inputs: int,
) -> ProcessStream:
    """Open one duplex stream on the audio device of that name and start it in silence.

    Parameters
    ----------
    device
        Name as `list_audio_devices` gives it, or a part that only one device has. With JACK, the client's name.
    host_api
        Only look there, e.g. ``"JACK Audio Connection Kit"``.
    rate_hz
        Sample rate; the device must run at it.
    block_frames
        Frames per callback.
    outputs, inputs
        Channels each way, the device's first ones.

    Raises
    ------
    AudioUnavailableError, AudioDeviceNotFoundError, ChannelCountError, SampleRateError, AudioError
        Each message says what is missing, the hint what to do.
    """
    return ProcessStream(
        device, host_api=host_api, rate_hz=rate_hz, block_frames=block_frames, outputs=outputs, inputs=inputs
    )


class ProcessStream:
    """A duplex stream in the audio process: implements `hardware.seams.AudioStream`.

    Attributes
    ----------
    device, host_api : what the name given to `open_audio` turned out to be.
    pid : of the audio process.
    """

    def __init__(
        self, device: str, *, host_api: str, rate_hz: int, block_frames: int, outputs: int, inputs: int
    ) -> None:
        from hardware.audio_process.rings import MAX_CHANNELS, Geometry, Rings

        if not (0 < outputs <= MAX_CHANNELS and 0 < inputs <= MAX_CHANNELS):
            raise ChannelCountError(f"A stream has 1 to {MAX_CHANNELS} channels each way, not {outputs} and {inputs}.")
        self.rate_hz = rate_hz
        self.block_frames = block_frames
        self.outputs = outputs
        self.inputs = inputs
        self.device = device
        self.host_api = host_api
        self._closed = False
        self._runs = 0
        geometry = Geometry.lasting(RING_S, rate_hz=rate_hz, block_frames=block_frames, outputs=outputs, inputs=inputs)
        path = room_for(geometry)
        request = {
            "path": str(path),
            "device": device,
            "host_api": host_api,
            "rate_hz": rate_hz,
            "block_frames": block_frames,
            "slots": geometry.slots,
            "outputs": outputs,
            "inputs": inputs,
        }
        try:
            self._rings: Rings = Rings(path, geometry)
            self._child = AudioChild(self._rings, request)
            try:
                self.device, self.host_api = self._child.wait_until_running(_OPEN_S)
            except BaseException:
                self.close()
                raise
        finally:
            # Both sides have it open; without a name it cannot outlive them. Windows keeps it until both let go.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """Process id of the audio process."""
        return self._child.pid

    def peaks(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Largest magnitude per output and per input (full scale 1.0) during runs since the last call."""
        outputs, inputs = self._rings.output_peaks.copy(), self._rings.input_peaks.copy()
        self._rings.output_peaks.fill(0.0)
        self._rings.input_peaks.fill(0.0)
        return outputs, inputs

    def run(
        self,
        source: Source,
        sink: Sink,
        frames: int,
        *,
        progress: Callable[[int], None] | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> RunReport:
        """Play ``frames`` frames of ``source`` and record as many into ``sink``, frame for frame on one clock tick.

        ``on_block`` is called about every 10 ms, later by as long as ``source`` takes for one reading.
        Whatever ends the run early (an error in ``source`` or ``sink``, Ctrl-C) silences the output within a block
        and leaves the stream usable. When the device vanishes, ``sink`` has all that was recorded before the error.

        Raises
        ------
        AudioError
            The audio process died or the device vanished.
        """
        from hardware.audio_process.rings import Word

        if self._closed:
            raise AudioError("The audio stream is closed.")
        self._child.check()
        if frames <= 0:
            return RunReport(0, ())
        words = self._rings.words
        self._runs += 1
        transfer = _Transfer(self._rings, source, sink, frames)
        self._rings.stamps.fill(-1)
        words[Word.RUN_BLOCKS] = transfer.blocks
        words[Word.DRAINED] = 0
        words[Word.FED] = 0
        while transfer.feed(0):
            continue
        told_at = time.monotonic()
        try:
            words[Word.ARM] = self._runs
            self._wait_for_current(self._runs)
            while transfer.drained < transfer.blocks:
                failure = self._child.failure()  # before the drain: what was recorded until now still goes to the sink
                transfer.note_xruns()
                if on_block is not None:
                    on_block(words[Word.DONE] * self.block_frames)
                moved = transfer.drain(words[Word.DONE])
                if failure:
                    raise failure
                moved |= transfer.feed(words[Word.DONE])
                if progress and (now := time.monotonic()) - told_at >= _PROGRESS_S:
                    told_at = now
                    progress(transfer.recorded)
                if not moved:
                    time.sleep(POLL_S)
            transfer.note_xruns()
        finally:
            words[Word.ARM] = 0
            with contextlib.suppress(AudioError):
                self._wait_for_current(0)
        if progress:
            progress(transfer.recorded)
        return RunReport(transfer.recorded, tuple(transfer.xruns))

    def close(self) -> None:
        """Stop the stream and its process; harmless when called twice."""
        self._closed = True
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_for_current(self, run: int) -> None:
        """Wait until the callback has seen that the armed run is ``run``."""
        from hardware.audio_process.rings import Word

        while self._rings.words[Word.CURRENT] != run:
            self._child.check()
            time.sleep(0.001)


class _Transfer:
    """One run's bookkeeping on our side of the rings."""

    def __init__(self, rings: Rings, source: Source, sink: Sink, frames: int) -> None:
        geometry = rings.geometry
        self.blocks = -(-frames // geometry.block_frames)
        self.drained = 0
        self.recorded = 0
        self.xruns: list[Xrun] = []
        self._rings = rings
        self._source = source
        self._sink = sink
        self._frames = frames
        self._fed = 0
        self._ended = False
        self._seen = 0

    def feed(self, done: int) -> bool:
        """Write the next blocks of the source where ``done`` blocks have been played; False when there is no room."""
        from hardware.audio_process.rings import Word

        geometry = self._rings.geometry
        slot = self._fed % geometry.slots
        room = geometry.slots - max(0, self._fed - done)
        count = min(_CHUNK_SLOTS, room, geometry.slots - slot, self.blocks - self._fed)
        if count <= 0:
            return False
        # A copy in the slots, never a hole: a source that starved is read on, so what follows is in its place.
        target = self._rings.output[slot : slot + count].reshape(-1, geometry.outputs)
        wanted = min(len(target), self._frames - self._fed * geometry.block_frames)
        filled = 0
        while filled < wanted and not self._ended:
            block = self._source.read(wanted - filled)
            if block.ndim != 2 or (len(block) and block.shape[1] != geometry.outputs) or len(block) > wanted - filled:
                raise ValueError(f"the source gave {block.shape}, not at most ({wanted - filled}, {geometry.outputs})")
            target[filled : filled + len(block)] = block
            self._ended = len(block) < wanted - filled
            filled += len(block)
        target[filled:] = 0.0
        self._fed += count
        self._rings.words[Word.FED] = self._fed
        return True

    def drain(self, done: int) -> bool:
        """Give the sink what was recorded up to block ``done``; False when there was nothing."""
        from hardware.audio_process.rings import Word

        geometry = self._rings.geometry
        start = self.drained
        while self.drained < done:
            slot = self.drained % geometry.slots
            count = min(_CHUNK_SLOTS, geometry.slots - slot, done - self.drained)
            held = self._rings.stamps[slot : slot + count]
            for index in range(count):
                if held[index] != self.drained + index:  # lost when the ring was full: its place stays, in silence
                    self._rings.input[slot + index] = 0.0
            view = self._rings.input[slot : slot + count].reshape(-1, geometry.inputs)
            view = view[: self._frames - self.recorded]
            self._sink.write(view)
            self.recorded += len(view)
            self.drained += count
            self._rings.words[Word.DRAINED] = self.drained
        return self.drained > start

    def note_xruns(self) -> None:
        """Take what the callback logged since the last call; adjoining blocks of one kind make one xrun."""
        from hardware.audio_process.rings import XRUN_SLOTS, Word

        frames = self._rings.geometry.block_frames
        count = self._rings.words[Word.XRUNS]
        for entry in range(max(self._seen, count - XRUN_SLOTS), count):
            block, code = self._rings.xruns[entry % XRUN_SLOTS]
            at, kind = int(block) * frames, _XRUN_KINDS[int(code)]
            for index in range(len(self.xruns) - 1, max(-1, len(self.xruns) - 4), -1):
                last = self.xruns[index]
                if last.kind == kind and last.at_frame + last.frames == at:
                    self.xruns[index] = Xrun(last.at_frame, last.frames + frames, kind)
                    break
            else:
                self.xruns.append(Xrun(at, frames, kind))
        self._seen = count
