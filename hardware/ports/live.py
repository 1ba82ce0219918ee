"""A mix graph that plays in the audio process, to two outputs of an interface."""

from __future__ import annotations

import contextlib
import time

from hardware.audio_process.rings import MAX_CHANNELS
from hardware.errors import AudioError, ChannelCountError
from hardware.live.messages import LiveGraph, packed
from hardware.live.shared import LiveRings, live_geometry
from hardware.live.stream import RingStream
from hardware.ports.audio_child import AudioChild, room_for

__all__ = ["LiveProcess"]

_OPEN_S = 90.0
"""A machine that has to compile every kernel first takes a while."""


class LiveProcess(RingStream):
    """Plays ``graph`` on the audio device of that name, to the pair ``outputs`` (from 0) of its ``channels_out``.

    All other outputs are silent. ``pid`` is the audio process's.

    Raises
    ------
    AudioUnavailableError, AudioDeviceNotFoundError, ChannelCountError, SampleRateError, AudioError
        The device does not open, or the graph cannot be built or sent.
    """

    def __init__(
        self,
        device: str,
        graph: LiveGraph,
        *,
        host_api: str,
        rate_hz: int,
        block_frames: int,
        outputs: tuple[int, int],
        channels_out: int,
        ring_s: float,
    ) -> None:
        if not (max(outputs) < channels_out <= MAX_CHANNELS and 0 < graph.channels <= MAX_CHANNELS):
            raise ChannelCountError(
                f"A live stream takes 1 to {MAX_CHANNELS} channels of stems to outputs within 1 to {MAX_CHANNELS}, "
                f"not {graph.channels} to {outputs[0] + 1} and {outputs[1] + 1} of {channels_out}."
            )
        first = packed(graph)
        geometry = live_geometry(ring_s, rate_hz=rate_hz, block_frames=block_frames, channels=graph.channels)
        path = room_for(geometry)
        request = {
            "live": True,
            "path": str(path),
            "device": device,
            "host_api": host_api,
            "rate_hz": rate_hz,
            "block_frames": block_frames,
            "ring_s": ring_s,
            "channels": graph.channels,
            "outputs": channels_out,
            "pair": list(outputs),
        }
        try:
            super().__init__(LiveRings(path, geometry), graph, outputs, rate_hz=rate_hz)
            self._child = AudioChild(self._rings, request, first)
            try:
                self.device, self.host_api = self._child.wait_until_running(_OPEN_S)
            except BaseException:
                self.close()
                raise
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """Process id of the audio process."""
        return self._child.pid

    def _send(self, message: bytes) -> None:
        try:
            self._child.send(message)
        except (OSError, ValueError) as error:
            raise self._child.failure() or AudioError("The audio process is gone.") from error

    def _failure(self) -> Exception | None:
        return self._child.failure()

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)

    def close(self) -> None:
        """Fade out and end the process; harmless when called twice."""
        self._child.close()
