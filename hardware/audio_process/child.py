"""The life of one stream in the audio process: open, call back, watch, end.

Everything that may wait, print or crash stays here and never beside a screen: PortAudio, its host APIs and the
callback. The parent sees the shared file only.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hardware.audio_process.devices import choose, describe, import_portaudio, open_failed, scan
from hardware.audio_process.rings import Geometry, Rings, State, Word, XrunCode
from hardware.errors import AudioError

STALL_S = 2.0
_TICK_S = 0.1
_LEAVE_S = 1.5


class DuplexCallback:
    """What PortAudio calls every block: one copy out, one copy in, a few counters. No lock, no allocation of note."""

    def __init__(self, rings: Rings) -> None:
        self._words = rings.words
        self._rings = rings
        self._slots = rings.geometry.slots
        self._out = [rings.output[slot] for slot in range(self._slots)]
        self._in = [rings.input[slot] for slot in range(self._slots)]
        self._stamps = rings.stamps
        frames = rings.geometry.block_frames
        self._out_scratch = np.zeros((frames, rings.geometry.outputs), np.float32)
        self._in_scratch = np.zeros((frames, rings.geometry.inputs), np.float32)
        self._out_peak = np.zeros(rings.geometry.outputs, np.float32)
        self._in_peak = np.zeros(rings.geometry.inputs, np.float32)
        self._run = 0
        self._calls = 0
        self._done = 0

    def __call__(
        self, indata: NDArray[np.float32], outdata: NDArray[np.float32], frames: int, clock: Any, status: Any
    ) -> None:
        """Play block ``n`` of the armed run and record block ``n``, or keep silent."""
        words = self._words
        self._calls += 1
        words[Word.CALLBACKS] = self._calls
        run = words[Word.ARM]
        if run != self._run:
            self._run = run
            self._done = 0
            words[Word.DONE] = 0
            words[Word.XRUNS] = 0
            words[Word.CURRENT] = run
        block = self._done
        if not run or block >= words[Word.RUN_BLOCKS]:
            outdata.fill(0.0)
            return
        slot = block % self._slots
        rings = self._rings
        if status:
            if status.input_overflow or status.input_underflow:
                rings.log_xrun(block, XrunCode.INPUT)
            if status.output_underflow or status.output_overflow:
                rings.log_xrun(block, XrunCode.OUTPUT)
        if block < words[Word.FED]:
            outdata[:] = self._out[slot]
        else:
            outdata.fill(0.0)
            rings.log_xrun(block, XrunCode.STARVED)
        if block - words[Word.DRAINED] < self._slots:
            self._in[slot][:] = indata
            self._stamps[slot] = block
        else:
            rings.log_xrun(block, XrunCode.FULL)
        self._meter(outdata, self._out_scratch, self._out_peak, rings.output_peaks)
        self._meter(indata, self._in_scratch, self._in_peak, rings.input_peaks)
        self._done = block + 1
        words[Word.DONE] = block + 1

    @staticmethod
    def _meter(
        block: NDArray[np.float32],
        scratch: NDArray[np.float32],
        peak: NDArray[np.float32],
        shared: NDArray[np.float32],
    ) -> None:
        np.abs(block, out=scratch)
        scratch.max(axis=0, out=peak)
        np.maximum(shared, peak, out=shared)


def serve_stream(request: dict[str, Any]) -> NoReturn:
    """Run one stream until the parent closes our standard input, dies, or the device vanishes.

    ``request`` holds path, device, host_api, rate_hz, block_frames, slots, outputs, inputs.
    """
    geometry = Geometry(request["block_frames"], request["slots"], request["outputs"], request["inputs"])
    rings = Rings(Path(request["path"]), geometry)
    rings.words[Word.HEARTBEAT_NS] = time.monotonic_ns()
    stop = threading.Event()
    threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    try:
        stream = _open(request, rings)
        settle()
        stream.start()
    except AudioError as error:
        leave(rings, None, error)
    except Exception as error:
        leave(rings, None, AudioError(f"The audio stream did not start: {error}"))
    rings.words[Word.HEARTBEAT_NS] = time.monotonic_ns()
    rings.words[Word.STATE] = State.RUNNING
    leave(rings, stream, watch(stream, rings, stop))


def settle() -> None:
    """Keep the interpreter from getting in the callback's way."""
    sys.setswitchinterval(1e-4)  # the callback waits at most this long for the interpreter
    gc.collect()
    gc.freeze()
    gc.disable()


def _open(request: dict[str, Any], rings: Rings) -> Any:
    sounddevice = import_portaudio()
    rate_hz, outputs, inputs = request["rate_hz"], request["outputs"], request["inputs"]
    apis = [api["name"] for api in sounddevice.query_hostapis()]
    source, target = choose(
        scan(sounddevice), apis, request["device"], request["host_api"], outputs=outputs, inputs=inputs
    )
    try:
        stream = sounddevice.Stream(
            device=(source.index, target.index),
            channels=(inputs, outputs),
            samplerate=rate_hz,
            blocksize=request["block_frames"],
            dtype="float32",
            callback=DuplexCallback(rings),
        )
    except Exception as error:
        raise open_failed(error, target, rate_hz) from error
    rings.text = json.dumps({"device": target.name, "host_api": target.host_api})
    return stream


def watch(
    stream: Any, rings: Rings, stop: threading.Event, look: Callable[[], AudioError | None] = lambda: None
) -> AudioError | None:
    """Beat until told to stop (None), or until the device no longer calls or ``look`` finds something (the error)."""
    parent = os.getppid()
    calls, called_at = -1, time.monotonic()
    while not stop.wait(_TICK_S):
        rings.words[Word.HEARTBEAT_NS] = time.monotonic_ns()
        if os.getppid() != parent:
            return None
        now = time.monotonic()
        if rings.words[Word.CALLBACKS] != calls:
            calls, called_at = rings.words[Word.CALLBACKS], now
        if found := look():
            return found
        if not stream.active or now - called_at > STALL_S:
            return AudioError(
                "The audio device or its server vanished while the stream was open.",
                hint="Check that the interface is plugged in and JACK is running, then start the pass again.",
            )
    return None


def _wait_for_parent(stop: threading.Event) -> None:
    """Set ``stop`` when the parent closes our standard input, by wish or by dying."""
    while os.read(0, 4096):
        continue
    stop.set()


def leave(rings: Rings, stream: Any, failure: AudioError | None) -> NoReturn:
    """Tell the parent how it ended, end PortAudio in order, and exit; at once if that takes too long.

    A JACK client that just disappears makes a synchronous server (``jackd -S``) wait five seconds for it, in silence
    for everybody, when the next client comes. And closing a stream whose server is gone may wait for ever.
    """
    status = 3 if failure else 0
    if failure:
        rings.text = json.dumps(describe(failure))
        rings.words[Word.STATE] = State.FAILED
    watchdog = threading.Timer(_LEAVE_S, os._exit, args=(status,))
    watchdog.daemon = True
    watchdog.start()
    if stream is not None:
        stream.abort()
        stream.close()
    if sounddevice := sys.modules.get("sounddevice"):
        sounddevice._terminate()
    if not failure:
        rings.words[Word.STATE] = State.CLOSED
    # Not by returning: the thread that waits for the parent still holds standard input.
    os._exit(status)
