"""Translation: sentence pairs, in batches of tokens."""
