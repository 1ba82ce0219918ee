"""The virtual room: decodes bytes, moves knobs, passes audio through a circuit model."""
