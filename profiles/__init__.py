"""Floor 1: the profile language, its tapers, and the library of TOML profiles."""
