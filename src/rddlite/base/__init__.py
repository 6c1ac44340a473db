"""Facts that every process shares: ids, settings, outcomes, metrics. Imports the standard library only."""
