"""Values to bytes and bytes to values, by profile; pure."""
