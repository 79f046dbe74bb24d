"""Image data that are decoded once and kept as bytes: idx files, and image sets of the Hugging Face hub."""
