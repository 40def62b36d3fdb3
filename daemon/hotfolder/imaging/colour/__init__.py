"""What colours mean: profiles, what files declare otherwise, HDR and samples that eight bits cannot carry."""
