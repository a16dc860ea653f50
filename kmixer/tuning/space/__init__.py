"""The search space: its settings and values, how it is written, and its checks."""
