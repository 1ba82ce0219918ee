"""The program's version, written into every provenance."""

VERSION = "0.1.0"
