"""Floor 1: pure signal code, arrays in, arrays out. No files, no ports, no clocks."""
