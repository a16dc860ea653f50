"""The run folder, from its first moment to its model card."""
