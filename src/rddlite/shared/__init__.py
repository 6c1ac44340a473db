"""What driver and tasks share."""
