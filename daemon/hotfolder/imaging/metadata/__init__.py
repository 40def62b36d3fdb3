"""What an optimized copy may carry of its source, and what a file says of how it was taken."""
