"""What ports, devices and streams report, in one tree.

Every class carries ``hint``: what to do next. The command line maps them to exit codes in one place.
"""


class HardwareError(Exception):
    """Root of the hardware floor's errors."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RigError(HardwareError):
    """A rig file is damaged, of a newer version, or contradicts itself."""


class RoomModelError(HardwareError):
    """A virtual room's model file is damaged or impossible."""


class TransportError(HardwareError):
    """A MIDI or serial port failed."""


class PortNotFoundError(TransportError):
    """No port of that name; the message lists those that exist."""


class PortBusyError(TransportError):
    """Another program holds the port."""


class DisconnectedError(TransportError):
    """The port vanished while in use."""


class ReplyTimeoutError(TransportError):
    """A device that answers did not, within its profile's timeout."""


class BadReplyError(TransportError):
    """A device answered something its profile does not know."""


class RefusedError(TransportError):
    """A device answered NAK or an error code."""


class AudioError(HardwareError):
    """The audio side failed."""


class AudioUnavailableError(AudioError):
    """PortAudio, or the server behind it, is missing or not running."""


class AudioDeviceNotFoundError(AudioError):
    """No audio device of that name; the message lists those that exist."""


class ChannelCountError(AudioError):
    """The interface has fewer channels than the rig asks for."""


class SampleRateError(AudioError):
    """The interface does not run at the rig's rate."""


class AudioDropoutError(AudioError):
    """Samples were lost and could not be recorded again."""


class SilentInputError(AudioError):
    """A return that must carry signal is silent."""
