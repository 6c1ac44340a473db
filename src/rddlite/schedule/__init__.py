"""The brain: a pure machine that turns events into commands. No clock, no I/O, no threads."""
