"""Profiles out of other people's lists."""
