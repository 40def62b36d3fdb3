"""The analysis record: what the header says, how it was taken, what the pixels tell."""
