"""Who trains the trials: a loop of processes, each trial in one of its own."""
