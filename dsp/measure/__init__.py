"""Probes, loops, alignment and the null test."""
