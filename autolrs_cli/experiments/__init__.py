"""Many runs as one experiment: sweeps, tuning, the reproduction of the paper's table."""
