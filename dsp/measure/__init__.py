"""Probes, loops, and what single tones tell of a path."""
