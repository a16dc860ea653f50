"""Where the values of a list of steps lie in one piece of memory, so that it is small."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from .steps import Activation, Add, Affine, Convolution, Step

IN_PLACE = (Affine, Activation, Add)  # each number needs only those at its own place


@dataclass(frozen=True)
class Buffer:
    """A piece of memory.

    Attributes:
        size: how many numbers it holds.
        first: the step that writes it.
        last: the last step that reads it.
    """

    size: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where everything lies; counted in numbers from the beginning of the memory.

    Attributes:
        values: the place of each value but the last, which is the result and lies elsewhere.
        patches: by a convolution's number, the place of one row of its patches.
        size: of the memory.
    """

    values: list[int]
    patches: dict[int, int]
    size: int

    def in_place(self, number: int) -> bool:
        """Whether a step (the first is 1) gives its value where the one before it lies."""
        return number < len(self.values) and self.values[number] == self.values[number - 1]


def plan_memory(steps: Sequence[Step]) -> MemoryPlan:
    """Return where the values lie; what is needed at the same time does not overlap.

    The largest buffers are placed first, each as low as what lies there leaves room.

    Args:
        steps: see `kmixer.exporting.steps`; the last one's value needs no place.

    Example:
        >>> from kmixer.exporting.steps import Mean, Softmax
        >>> plan_memory([Mean((9, 4), (4,)), Mean((2, 2), (2,)), Softmax((2,), (2,))])
        MemoryPlan(values=[0, 36, 0], patches={}, size=40)
    """
    last = _last_uses(steps)
    owners = [0]  # by a value, the one in whose buffer it lies
    for number, step in enumerate(steps[:-1], 1):
        shares = isinstance(step, IN_PLACE) and last[number - 1] == number
        owners.append(owners[-1] if shares else number)
    sizes = [prod(steps[0].input_shape), *(prod(step.shape) for step in steps[:-1])]
    buffers = {
        owner: Buffer(sizes[owner], owner, max(last[v] for v, o in enumerate(owners) if o == owner))
        for owner in {*owners}
    }
    rows = {-number: Buffer(_patch_row(step), number, number)
            for number, step in enumerate(steps, 1) if isinstance(step, Convolution)}  # fmt: skip
    places = _place(buffers | rows)
    size = max(places[key] + buffer.size for key, buffer in (buffers | rows).items())
    return MemoryPlan([places[o] for o in owners], {-key: places[key] for key in rows}, size)


def _last_uses(steps: Sequence[Step]) -> list[int]:
    """Return by each value the number of the last step that takes it."""
    last = [*range(1, len(steps) + 1)]
    for number, step in enumerate(steps, 1):
        if isinstance(step, Add):
            last[step.other] = max(last[step.other], number)
    return last


def _patch_row(step: Convolution) -> int:
    return step.shape[1] * len(step.kernel)


def _place(buffers: dict[int, Buffer]) -> dict[int, int]:
    places: dict[int, int] = {}
    for key, buffer in sorted(buffers.items(), key=lambda item: -item[1].size):
        others = [
            (places[other], places[other] + buffers[other].size)
            for other in places
            if buffers[other].first <= buffer.last and buffer.first <= buffers[other].last
        ]
        places[key] = _lowest_gap(others, buffer.size)
    return places


def _lowest_gap(taken: Iterable[tuple[int, int]], size: int) -> int:
    """Return where so many numbers fit between what is taken from (first, end)."""
    place = 0
    for first, end in sorted(taken):
        if first >= place + size:
            break
        place = max(place, end)
    return place
