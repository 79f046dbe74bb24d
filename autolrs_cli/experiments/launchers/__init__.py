"""Where the runs of an experiment are computed: here, on SLURM, on Ray, or where one of Hydra's launchers puts them."""
