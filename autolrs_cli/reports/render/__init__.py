"""Reports in words: terminal, HTML, CSV, Markdown."""
