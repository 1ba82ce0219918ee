"""A PortAudio that needs no hardware: a cable from each output k to input k, one block and nine frames long.

``FAKE_PORTAUDIO`` makes it misbehave: ``missing`` (no library), ``empty`` (no devices), ``crash:N`` (dies at call N
that plays something), ``xrun:N`` (flags the N-th call that plays something), ``stops:N`` (goes inactive there).
"""

import os
import threading

import numpy as np

CABLE_FRAMES = 9
_mood, _, _number = os.environ.get("FAKE_PORTAUDIO", "").partition(":")
if _mood == "missing":
    raise OSError("PortAudio library not found")


class PortAudioError(Exception):
    pass


def query_hostapis():
    return ({"name": "Fake API"},)


def query_devices():
    if _mood == "empty":
        return ()
    common = {"hostapi": 0, "default_samplerate": 48000.0}
    return (
        {"name": "Cable", "max_input_channels": 4, "max_output_channels": 4, **common},
        {"name": "Cable Two", "max_input_channels": 2, "max_output_channels": 8, **common},
    )


def _terminate():
    pass


class Status:
    def __init__(self, flagged):
        self.input_overflow = self.output_underflow = flagged
        self.input_underflow = self.output_overflow = False

    def __bool__(self):
        return self.input_overflow


class Stream:
    def __init__(self, *, device, channels, samplerate, blocksize, dtype, callback):
        if samplerate != 48000:
            raise PortAudioError("Error opening Stream: Invalid sample rate", -9997)
        assert dtype == "float32"
        self.active = False
        self._channels, self._frames, self._callback = channels, blocksize, callback
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.active = True
        self._thread.start()

    def abort(self):
        self.active = False
        self._thread.join()

    def close(self):
        pass

    def _run(self):
        inputs, outputs = self._channels
        common = min(inputs, outputs)
        cable = np.zeros((self._frames + CABLE_FRAMES, inputs), np.float32)
        played = 0
        tick = threading.Event()
        while self.active:
            out = np.full((self._frames, outputs), 99.0, np.float32)  # left as it is, it would be heard
            flagged = _mood == "xrun" and played == int(_number)
            self._callback(cable[: self._frames].copy(), out, self._frames, None, Status(flagged))
            sent = np.zeros((self._frames, inputs), np.float32)
            sent[:, :common] = out[:, :common]
            cable = np.concatenate([cable[self._frames :], sent])
            played += bool(out.any())
            if _mood == "crash" and played == int(_number):
                os._exit(11)
            if _mood == "stops" and played == int(_number):
                self.active = False
            tick.wait(0.0005)
