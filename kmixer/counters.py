"""What ReduceLROnPlateau and EarlyStopping count from epoch to epoch."""

# Their other attributes are settings, and Keras changes the sign of `min_delta` in place.
COUNTERS = ("best", "wait", "cooldown_counter", "stopped_epoch", "best_epoch")


def counters_of(callback):
    """Return a callback's counters, JSON-able."""
    values = vars(callback)
    return {key: values[key] for key in COUNTERS if isinstance(values.get(key), int | float)}


def restore_counters(callback, counters):
    """Put counters back into a callback."""
    vars(callback).update({key: counters[key] for key in COUNTERS if key in counters})
