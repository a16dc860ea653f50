"""Where images come from: one module for each data source."""
