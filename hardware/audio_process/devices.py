"""What PortAudio has, and which of it a name means. Runs in the audio process only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hardware.errors import (
    AudioDeviceNotFoundError,
    AudioError,
    AudioUnavailableError,
    ChannelCountError,
    SampleRateError,
)

JACK_HOST_API = "JACK Audio Connection Kit"
START_JACK = "Start it, e.g. `jackd -d alsa -r 48000 -p 256` (`jackd -d dummy` without an interface), then try again."
INSTALL_PORTAUDIO = (
    "Install it: `sudo apt install libportaudio2` on Debian and Ubuntu, `brew install portaudio` on macOS."
)


@dataclass(frozen=True)
class Device:
    """One PortAudio device."""

    index: int
    name: str
    host_api: str
    inputs: int
    outputs: int
    rate_hz: float


def import_portaudio() -> Any:
    """Import sounddevice, which loads and starts PortAudio.

    Raises
    ------
    AudioUnavailableError
        The library is missing or does not start.
    """
    try:
        import sounddevice
    except OSError as error:
        raise AudioUnavailableError("PortAudio is not installed.", hint=INSTALL_PORTAUDIO) from error
    except Exception as error:
        raise AudioUnavailableError(f"PortAudio does not start: {error}", hint=INSTALL_PORTAUDIO) from error
    return sounddevice


def scan(sounddevice: Any) -> list[Device]:
    """Every device of every host API."""
    names = [api["name"] for api in sounddevice.query_hostapis()]
    return [
        Device(
            index,
            found["name"],
            names[found["hostapi"]],
            found["max_input_channels"],
            found["max_output_channels"],
            found["default_samplerate"],
        )
        for index, found in enumerate(sounddevice.query_devices())
    ]


def listing() -> dict[str, Any]:
    """Host APIs and devices as JSON, or the error."""
    try:
        sounddevice = import_portaudio()
        return {
            "host_apis": [api["name"] for api in sounddevice.query_hostapis()],
            "devices": [vars(device) for device in scan(sounddevice)],
        }
    except AudioError as error:
        return describe(error)


def describe(error: AudioError) -> dict[str, Any]:
    """Turn an error into what the parent raises again."""
    return {"error": type(error).__name__, "message": str(error), "hint": error.hint}


def choose(
    devices: list[Device], host_apis: list[str], name: str, host_api: str, *, outputs: int, inputs: int
) -> tuple[Device, Device]:
    """Find the input and the output device that ``name`` means; an exact name beats a part of one.

    Raises
    ------
    AudioUnavailableError, AudioDeviceNotFoundError, ChannelCountError
    """
    jack_wanted = host_api == JACK_HOST_API or (not host_api and not devices)
    if jack_wanted and JACK_HOST_API not in host_apis:
        if host_api:
            raise AudioUnavailableError("JACK is not running.", hint=START_JACK)
        raise AudioUnavailableError("This machine shows no audio device, and JACK is not running.", hint=START_JACK)
    pool = [device for device in devices if not host_api or device.host_api == host_api]
    matches = (
        [device for device in pool if device.name == name]
        or [device for device in pool if device.name.casefold() == name.casefold()]
        or [device for device in pool if name.casefold() in device.name.casefold()]
    )
    if len({device.name for device in matches}) > 1:
        raise AudioDeviceNotFoundError(
            f'"{name}" means more than one audio device: {_names(matches)}.', hint="Write the whole name."
        )
    if not matches:
        jack_off = " JACK is not running, so its clients do not appear." if JACK_HOST_API not in host_apis else ""
        raise AudioDeviceNotFoundError(
            f'No audio device "{name}"{f" in {host_api}" if host_api else ""}. There are: {_names(pool) or "none"}.',
            hint=f"Set [audio] port in the rig file to one of these.{jack_off}",
        )
    # Host APIs list the same interface again: the one that has all channels in both directions keeps one clock.
    duplex = [device for device in matches if device.inputs >= inputs and device.outputs >= outputs]
    if duplex:
        return duplex[0], duplex[0]
    for api in dict.fromkeys(device.host_api for device in matches):
        of_api = [device for device in matches if device.host_api == api]
        source = next((device for device in of_api if device.inputs >= inputs), None)
        target = next((device for device in of_api if device.outputs >= outputs), None)
        if source and target:
            return source, target
    best = max(matches, key=lambda device: (device.outputs, device.inputs))
    raise ChannelCountError(
        f'"{best.name}" has {best.outputs} outputs and {best.inputs} inputs; '
        f"the rig asks for {outputs} outputs and {inputs} inputs.",
        hint="Lower outputs and inputs under [audio] in the rig file, or choose another interface.",
    )


def _names(devices: list[Device]) -> str:
    return ", ".join(dict.fromkeys(f'"{device.name}"' for device in devices))


def open_failed(error: Exception, device: Device, rate_hz: int) -> AudioError:
    """Say in plain words why PortAudio did not open ``device``; codes are those of ``portaudio.h``."""
    code = error.args[1] if len(error.args) > 1 else None
    if code == -9997:
        return SampleRateError(
            f'"{device.name}" does not run at {rate_hz} Hz (it stands at {device.rate_hz:.0f} Hz).',
            hint="Set rate_hz under [audio] in the rig file, or the interface's clock, to the other's.",
        )
    if code == -9998:
        return ChannelCountError(
            f'"{device.name}" refuses that number of channels.',
            hint="Lower outputs and inputs under [audio] in the rig file.",
        )
    if code == -9985:
        return AudioError(f'"{device.name}" is in use by another program.', hint="Close the other program.")
    reason = str(error.args[0]) if error.args else str(error)
    return AudioError(f'"{device.name}" did not open: {reason}', hint="Run `halfnormal doctor` to see what is there.")
