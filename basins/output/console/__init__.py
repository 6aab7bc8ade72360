"""What the commands print: a file a page, on what screen.py lays out."""
