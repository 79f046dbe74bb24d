"""The consoles that commands print to."""
