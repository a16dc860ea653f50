"""Intervals in steps or in seconds, such as 200 or 10m."""

import re
from dataclasses import dataclass

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Interval:
    """How often something is done: every so many steps or seconds; never, if both are None."""

    steps: int | None = None
    seconds: float | None = None

    def due(self, steps: int, seconds: float) -> bool:
        """Whether it is time again.

        Args:
            steps: since the last time.
            seconds: since the last time.
        """
        if self.steps is not None:
            return steps >= self.steps
        return self.seconds is not None and seconds >= self.seconds


def read_interval(value: int | str | None) -> Interval:
    """Return the `Interval` of a number of steps, a text such as 10m, or None."""
    return Interval(seconds=read_seconds(value)) if isinstance(value, str) else Interval(value)


def read_seconds(text: str) -> float:
    """Return the seconds of a text such as 90s, 30m or 1h30m.

    Raises:
        ValueError: it is no such text.
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text)
    seconds = sum(float(count) * UNITS[unit] for count, unit in parts)
    if "".join(count + unit for count, unit in parts) != text or not seconds:
        raise ValueError(f"received {text!r}, expected a time such as 90s, 30m or 2h")
    return seconds
