"""Control messages between driver and executors."""
