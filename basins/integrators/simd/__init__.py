"""Several trajectories side by side, one in each lane of the vector registers."""
