"""What people see: console, figures, report."""
