"""Training and held-out streams, addressed by position."""
