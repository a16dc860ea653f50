"""How far a figure that is measured again may be from the recorded one."""

POINTS = 0.1  # of accuracy, or one image: from one backend or processor to another
LOSS = 0.01  # of the loss


def same_accuracy(measured: float, recorded: float, images: int) -> bool:
    """Whether two shares of right answers are the same but for rounding.

    Args:
        measured: now, 0 to 1.
        recorded: earlier.
        images: their number.
    """
    return abs(measured - recorded) <= max(POINTS / 100, 1 / images) + 1e-9


def same_loss(measured: float, recorded: float) -> bool:
    """Whether two losses are the same but for rounding."""
    return abs(measured - recorded) <= LOSS * max(abs(recorded), 0.1)
