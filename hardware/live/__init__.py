"""A mix graph that plays live: what is told to it, what it shares, how it runs in an audio callback."""
