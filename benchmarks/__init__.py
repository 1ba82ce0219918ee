"""Measured speed and memory; run as ``python -m benchmarks.NAME --json [--quick]``."""
