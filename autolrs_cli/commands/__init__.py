"""One module per command; bodies are imported only when their command runs."""
