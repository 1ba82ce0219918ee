"""The life of one live stream in the audio process: the graph first, then the device, then changes as they come."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from dsp.errors import DspError
from hardware.audio_process.child import leave, settle, watch
from hardware.audio_process.devices import choose, import_portaudio, open_failed, scan
from hardware.audio_process.rings import State, Word
from hardware.errors import AudioError
from hardware.live.callback import RISE_S, LiveCallback
from hardware.live.control import obey, tend
from hardware.live.messages import read_message
from hardware.live.player import Bench
from hardware.live.priority import prefer
from hardware.live.shared import LiveRings, LiveWord, live_geometry

__all__ = ["serve_live"]


def serve_live(request: dict[str, Any]) -> NoReturn:
    """Play the graph that comes on standard input until the parent closes it or dies, or the device vanishes.

    ``request`` holds path, device, host_api, rate_hz, block_frames, ring_s, channels (of the feed), outputs (of the
    device) and pair (from 0).
    """
    geometry = live_geometry(
        request["ring_s"],
        rate_hz=request["rate_hz"],
        block_frames=request["block_frames"],
        channels=request["channels"],
    )
    rings = LiveRings(Path(request["path"]), geometry)
    rings.words[Word.HEARTBEAT_NS] = time.monotonic_ns()
    stop = threading.Event()
    try:
        graph = read_message(_read)
        if graph is None:
            leave(rings, None, None)
        bench = Bench(graph, rate_hz=request["rate_hz"], block_frames=request["block_frames"])
        rings.words[LiveWord.LATENCY] = bench.player.latency_frames
        rings.words[LiveWord.TAIL] = bench.player.tail_frames
        left, right = request["pair"]
        callback = LiveCallback(rings, bench.player, (left, right), rate_hz=request["rate_hz"])
        callback.warm(request["outputs"])
        stream = _open(request, rings, callback)
        settle()
        threading.Thread(target=_listen, args=(bench, rings, stop), daemon=True).start()
        stream.start()
    except AudioError as error:
        leave(rings, None, error)
    except DspError as error:
        leave(rings, None, AudioError(f"This mix cannot be played: {error}", hint=error.hint))
    except Exception as error:
        leave(rings, None, AudioError(f"The audio stream did not start: {error}"))
    rings.words[Word.HEARTBEAT_NS] = time.monotonic_ns()
    rings.words[Word.STATE] = State.RUNNING

    preferred = 0

    def look() -> AudioError | None:
        nonlocal preferred
        if callback.thread != preferred:
            preferred = callback.thread
            prefer(preferred)
        tend(bench, rings)
        failure = callback.failure
        return None if failure is None else AudioError(f"The mix graph failed while it played: {failure}")

    leave(rings, stream, watch(stream, rings, stop, look))


def _read(count: int) -> bytes:
    return os.read(0, count)


def _listen(bench: Bench, rings: LiveRings, stop: threading.Event) -> None:
    """Take changes until the parent closes our standard input, by wish or by dying; then fade out."""
    try:
        while (message := read_message(_read)) is not None:
            obey(message, bench, rings)
    finally:
        rings.words[LiveWord.MONITOR] = 0
        time.sleep(2 * RISE_S)
        stop.set()


def _open(request: dict[str, Any], rings: LiveRings, callback: LiveCallback) -> Any:
    sounddevice = import_portaudio()
    rate_hz, outputs = request["rate_hz"], request["outputs"]
    apis = [api["name"] for api in sounddevice.query_hostapis()]
    _, target = choose(scan(sounddevice), apis, request["device"], request["host_api"], outputs=outputs, inputs=0)
    try:
        stream = sounddevice.OutputStream(
            device=target.index,
            channels=outputs,
            samplerate=rate_hz,
            blocksize=request["block_frames"],
            dtype="float32",
            callback=callback,
        )
    except Exception as error:
        raise open_failed(error, target, rate_hz) from error
    rings.text = json.dumps({"device": target.name, "host_api": target.host_api})
    return stream
