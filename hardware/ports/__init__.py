"""The only files that import sounddevice, rtmidi, mido and pyserial."""
