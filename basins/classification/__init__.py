"""Where trajectories end: integration until a verdict, and the verdict."""
