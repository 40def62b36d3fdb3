"""The optimized copy: how its quality is found, what of the picture is improved."""
