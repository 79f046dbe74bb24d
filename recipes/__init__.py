"""What is trained: one readable file per recipe, and its data."""
