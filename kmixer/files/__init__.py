"""Files that survive an interruption, and files that are not trusted."""
