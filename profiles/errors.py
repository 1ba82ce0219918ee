"""What the profile language refuses, in one tree."""


class ProfileError(ValueError):
    """Root of the profile floor's errors; ``hint`` says what to do next, ``placed`` whether it names file and line."""

    def __init__(self, message: str, *, hint: str = "", placed: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.placed = placed


class ProfileSyntaxError(ProfileError):
    """A profile file breaks the language: names file, key and line."""


class ProfileVersionError(ProfileError):
    """A profile written for a newer schema than this program reads."""


class UnknownProfileError(ProfileError):
    """No profile of that name; the message lists the nearest ones."""


class UnknownControlError(ProfileError):
    """The profile has no control of that name; the message lists the nearest ones."""


class ValueRangeError(ProfileError):
    """A value outside what the control can be told."""
