"""What lets programs that were written for another engine run unchanged."""
