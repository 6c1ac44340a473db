"""What happened, for people: job summaries and progress."""
