"""Output for people: the console, figures and the report."""
