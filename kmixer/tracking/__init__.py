"""Experiment trackers that follow a training, a sweep or a search: MLflow, Trackio, TensorBoard."""
