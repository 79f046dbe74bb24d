"""Arms of runs, compared: from journals to speedups with intervals."""
