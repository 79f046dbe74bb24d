"""What a person sees while a run trains, made from its journal's records alone."""
