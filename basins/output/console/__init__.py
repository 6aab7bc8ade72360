"""The output of the commands, one file per command. screen.py has the layout."""
