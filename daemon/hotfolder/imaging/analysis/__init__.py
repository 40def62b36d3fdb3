"""The analysis record: what the header states, how it was taken, what the pixels tell."""
