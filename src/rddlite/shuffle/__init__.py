"""Both sides of a wide dependency: map output files and their reading."""
