"""From bytes to pixels: the limits first, then as little of the picture as the plan needs."""
