"""A JACK client with inputs only, in a process of its own: it keeps all it hears, and writes it down when asked.

Lines on standard input: ``keep FILE`` writes (frames, channels) float32 and says how many frames they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jack
import numpy as np

MOST_S = 60


def main(name: str, channels: int) -> None:
    client = jack.Client(name, no_start_server=True)
    ports = [client.inports.register(f"in_{number + 1}") for number in range(channels)]
    heard = np.zeros((MOST_S * client.samplerate, channels), np.float32)
    at = 0
    xruns = 0

    @client.set_process_callback
    def process(frames: int) -> None:
        nonlocal at
        stop = min(at + frames, len(heard))
        for channel, port in enumerate(ports):
            heard[at:stop, channel] = port.get_array()[: stop - at]
        at = stop

    @client.set_xrun_callback
    def xrun(delayed_usecs: float) -> None:
        nonlocal xruns
        xruns += 1

    with client:
        tell({"ready": True})
        for line in sys.stdin:
            stop = at
            np.save(Path(line.split(maxsplit=1)[1].strip()), heard[:stop])
            tell({"frames": stop, "xruns": xruns})


def tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
