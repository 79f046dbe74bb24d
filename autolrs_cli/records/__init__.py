"""What a run writes down: typed events, the journal, and the files of the run directory."""
