"""What is descended: a loss and what is known of it."""
