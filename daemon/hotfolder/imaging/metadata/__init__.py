"""What an optimized copy may carry of its source, and what a file states of how it was taken."""
