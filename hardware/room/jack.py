"""The virtual room's audio as a JACK client: what arrives at its inputs goes through the room to its outputs."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.errors import AudioError, AudioUnavailableError

Process = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class JackAudio:
    """One JACK client whose process callback is ``process``.

    Ports are ``in_1`` … and ``out_1`` …, in that order, so that channel k of a PortAudio stream on this client is
    the room's input k.

    Attributes
    ----------
    name : the client's name as JACK gave it.
    rate_hz, block_frames : the server's.
    xruns : how many the server reported since `start`.
    server_ended : whether the server went away under us.
    failure : what ended the audio from its own side, or None.
    """

    def __init__(self, name: str, process: Process, *, inputs: int, outputs: int) -> None:
        self._jack = _import_jack()
        try:
            self._client: Any = self._jack.Client(name, no_start_server=True)
        except self._jack.JackError as error:
            raise AudioUnavailableError(
                "JACK is not running.",
                hint="Start it first, e.g. `jackd -S -d dummy -r 48000 -p 256 -C 32 -P 32`, then serve the room.",
            ) from error
        self.name: str = self._client.name
        self.rate_hz: int = self._client.samplerate
        self.block_frames: int = self._client.blocksize
        self.xruns = 0
        self.failure: AudioError | None = None
        self.ended = threading.Event()
        self._process = process
        self._active = False
        self.server_ended = False
        self._block = np.zeros((self.block_frames, inputs), np.float32)
        self._inports = [self._client.inports.register(f"in_{number}") for number in range(1, inputs + 1)]
        self._outports = [self._client.outports.register(f"out_{number}") for number in range(1, outputs + 1)]
        self._client.set_process_callback(self._on_process)
        self._client.set_blocksize_callback(self._on_blocksize)
        self._client.set_xrun_callback(self._on_xrun)
        self._client.set_shutdown_callback(self._on_shutdown)

    def start(self) -> None:
        """Let the audio run."""
        self._client.activate()
        self._active = True

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the graph for as long as the ``with`` block lasts, and come back to the same connections.

        Nothing sounds meanwhile. MIDI ports can be opened and closed here without anybody waiting for our callback.
        """
        if not self._active or self.server_ended:
            yield
            return
        wires = [
            (port, other)
            for port in (*self._inports, *self._outports)
            for other in self._client.get_all_connections(port)
        ]
        self._client.deactivate()
        try:
            yield
        finally:
            self._client.activate()
            for port, other in wires:
                source, target = (other, port) if port.is_input else (port, other)
                with contextlib.suppress(self._jack.JackError):  # the other side left meanwhile
                    self._client.connect(source, target)

    def close(self) -> None:
        """Leave the graph; harmless when called twice, or after the server ended."""
        client, self._client = self._client, None
        if client is None:
            return
        if self.server_ended:
            # Closing a client whose server is gone waits for ever, and so would its deletion: it stays.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
            return
        if self._active:
            client.deactivate()
        client.close()

    def _on_process(self, frames: int) -> None:
        try:
            block = self._block[:frames]
            for channel, port in enumerate(self._inports):
                block[:, channel] = port.get_array()
            mixed = self._process(block)
            for channel, port in enumerate(self._outports):
                port.get_array()[:] = mixed[:, channel]
        except Exception as error:
            for port in self._outports:
                port.get_array().fill(0.0)
            self.failure = AudioError(f"The virtual room's audio stopped: {type(error).__name__}: {error}")
            self.ended.set()
            raise self._jack.CallbackExit from None

    def _on_blocksize(self, frames: int) -> None:
        if frames > len(self._block):
            self._block = np.zeros((frames, self._block.shape[1]), np.float32)
        self.block_frames = frames

    def _on_xrun(self, delayed_us: float) -> None:
        self.xruns += 1

    def _on_shutdown(self, status: Any, reason: str) -> None:
        self.server_ended = True
        if self.failure is None:
            self.failure = AudioError("The JACK server ended.", hint="Start JACK and serve the room again.")
        self.ended.set()


def _import_jack() -> Any:
    try:
        import jack
    except ImportError as error:
        raise AudioUnavailableError(
            "Serving the room needs the JACK-Client package.", hint="Install it: `pip install 'halfnormal[room]'`."
        ) from error
    except OSError as error:
        raise AudioUnavailableError(
            "The JACK library is not installed.", hint="Install it: `sudo apt install jackd2` on Debian and Ubuntu."
        ) from error
    # Its own words go to the screen otherwise; what matters comes back as errors and callbacks.
    jack.set_error_function(_ignore)
    jack.set_info_function(_ignore)
    return jack


def _ignore(message: str) -> None:
    """Drop what the JACK library says."""
