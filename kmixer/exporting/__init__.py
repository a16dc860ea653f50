"""From a run to a file of another format, verified."""
