"""Entry point of the audio process: ``python -m hardware.audio_process '{"list": true}'`` or a stream's arguments."""

from __future__ import annotations

import json
import signal
import sys


def main(argument: str) -> None:
    """Do what the JSON ``argument`` asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = json.loads(argument)
    if request.get("list"):
        from hardware.audio_process.devices import listing

        sys.stdout.write("\n" + json.dumps(listing()) + "\n")
        sys.stdout.flush()
        return
    if request.get("live"):
        from hardware.live.child import serve_live

        serve_live(request)
    from hardware.audio_process.child import serve_stream

    serve_stream(request)


if __name__ == "__main__":
    main(sys.argv[1])
