"""Muon, whose matrices of one shape are orthogonalized together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any
Pairs = list[tuple[Tensor, Any]]  # a gradient, and its variable


@keras.saving.register_keras_serializable("kmixer")
class Muon(keras.optimizers.Muon):
    """Keras' Muon; on torch, one Newton–Schulz iteration is for all matrices of one shape.

    A Mixer's blocks repeat their shapes, and torch, which runs one small product at a time, waits
    more than it multiplies (docs/adr/0030). The other backends update as Keras does.

    Args:
        newton_schulz_dtype: in which the iteration multiplies on torch. The authors use bfloat16
            (kellerjordan.github.io/posts/muon): what comes out need not be orthogonal exactly.
        options: those of `keras.optimizers.Muon`.
    """

    def __init__(self, *args: Any, newton_schulz_dtype: str = "float32", **options: Any) -> None:
        super().__init__(*args, **options)
        self.newton_schulz_dtype = newton_schulz_dtype

    def _backend_update_step(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[Any], learning_rate: Tensor
    ) -> None:
        if keras.backend.backend() != "torch":
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        by_adam: Pairs = []
        by_shape: dict[tuple[int, ...], Pairs] = defaultdict(list)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            uses_adam = self._should_use_adamw(variable)
            group = by_adam if uses_adam else by_shape[tuple(sorted(variable.shape))]
            group.append((gradient, variable))
        for pairs in by_shape.values():
            self._update_by_muon(pairs, learning_rate)
        self._update_by_adam(by_adam, learning_rate * self.adam_lr_ratio)

    def _update_by_muon(self, pairs: Pairs, learning_rate: Tensor) -> None:
        """Update matrices that have one shape, or its transpose."""
        wide = [
            x if x.shape[0] <= x.shape[1] else ops.transpose(x)
            for x in (self._with_momentum(*pair) for pair in pairs)
        ]
        stacked = ops.cast(ops.stack(wide), self.newton_schulz_dtype)  # (matrices, rows, columns)
        updates = self.zeropower_via_newtonschulz5(stacked, self.ns_steps)
        updates = ops.cast(updates, pairs[0][1].dtype)
        for (_, variable), update in zip(pairs, ops.unstack(updates), strict=True):
            turned = update if update.shape == variable.shape else ops.transpose(update)
            self.assign_sub(variable, self.lr_adjust(learning_rate * turned))

    def _with_momentum(self, gradient: Tensor, variable: Any) -> Tensor:
        """Add a gradient to its momentum and return what is to be made orthogonal."""
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign_add(momentum, ops.add(gradient, momentum * (self.momentum - 1)))
        if not self.nesterov:
            return momentum.value
        return ops.add(gradient, self.momentum * momentum)

    def _update_by_adam(self, pairs: Pairs, learning_rate: Any) -> None:
        """Update all other variables at once (arXiv 1412.6980)."""
        import torch

        if not pairs:
            return
        grads, variables = zip(*pairs, strict=True)
        indices = [self._get_variable_index(variable) for variable in variables]
        means, squares, weights = (
            [state.value for state in states]
            for states in (
                [self.momentums[index] for index in indices],
                [self.adam_velocities[index] for index in indices],
                variables,
            )
        )
        step = ops.cast(self.iterations + 1, "float32")
        bias = ops.sqrt(1 - self.adam_beta_2**step) / (1 - self.adam_beta_1**step)
        with torch.no_grad():
            torch._foreach_lerp_(means, grads, 1 - self.adam_beta_1)
            torch._foreach_mul_(squares, self.adam_beta_2)
            torch._foreach_addcmul_(squares, grads, grads, 1 - self.adam_beta_2)
            roots = torch._foreach_sqrt(squares)
            torch._foreach_add_(roots, self.epsilon)
            updates = torch._foreach_div(means, roots)
            torch._foreach_mul_(updates, learning_rate * bias)
            torch._foreach_sub_(weights, updates)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"newton_schulz_dtype": self.newton_schulz_dtype}
