"""Public helpers for tests: a manual clock, a simulated cluster, aimed faults."""
