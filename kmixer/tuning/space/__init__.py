"""What a search draws from."""
