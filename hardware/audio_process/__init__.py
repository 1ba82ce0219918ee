"""The real-time child process: one duplex stream, rings in shared memory."""
