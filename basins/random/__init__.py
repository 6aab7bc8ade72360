"""Random numbers with the same bits on any machine."""
