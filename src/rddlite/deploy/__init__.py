"""How executors come to exist."""
