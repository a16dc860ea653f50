"""Settings → optimizer and learning-rate schedule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import keras
from keras import ops

from ..config.fields import chosen
from .muon import Muon

if TYPE_CHECKING:
    from ..config import Settings

Tensor = Any
PACKAGE = "kmixer"
NOT_DECAYED = ("bias", "gamma", "beta")
WEIGHT_DECAYS = ("weight_decay", "adam_weight_decay")  # Muon has one for each of its halves
NOT_FOR_MUON = ("(^|/)stem/", "(^|/)head/")


def build_optimizer(
    settings: Settings,
    steps_per_epoch: int,
    multipliers: Mapping[str, float] | None = None,
    learning_rate: Any = None,
) -> keras.optimizers.Optimizer:
    """Build the Keras optimizer, its learning rate already scheduled where that is per step.

    Args:
        settings: the run's `Settings`.
        steps_per_epoch: batches in an epoch.
        multipliers: of the learning rate, by a weight's path; None: 1 for all.
        learning_rate: a number or Keras' schedule; None: the settings'.
    """
    section = settings.optimizer
    accumulated = section.gradient_accumulation_steps
    options = {
        "learning_rate": learning_rate or _learning_rate(settings, steps_per_epoch),
        "weight_decay": section.weight_decay or None,
        "global_clipnorm": section.clip_norm,
        "gradient_accumulation_steps": accumulated if accumulated > 1 else None,
        "use_ema": section.ema is not None,
        # Keras averages after every batch, whether it was a step or only accumulated.
        "ema_momentum": (section.ema or 0.99) ** (1 / accumulated),
    }
    keras_class, own_options = _OPTIMIZERS[section.name]
    options |= own_options(settings)
    if section.l2 or multipliers:
        own = {"l2": section.l2, "l2_on_all": section.l2_on_all, "multipliers": multipliers}
        optimizer = _EXTENDED[keras_class](**own, **options)
    else:
        optimizer = keras_class(**options)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer


def _adam(settings: Settings) -> dict[str, Any]:
    section: Any = settings.optimizer
    return {"beta_1": section.beta_1, "beta_2": section.beta_2, "epsilon": section.epsilon}


def _sgd(settings: Settings) -> dict[str, Any]:
    section: Any = settings.optimizer
    return {"momentum": section.momentum, "nesterov": section.nesterov}


def _rmsprop(settings: Settings) -> dict[str, Any]:
    section: Any = settings.optimizer
    return {"rho": section.rho, "momentum": section.momentum}


def _lion(settings: Settings) -> dict[str, Any]:
    section: Any = settings.optimizer
    return {"beta_1": section.beta_1, "beta_2": section.beta_2}


def _muon(settings: Settings) -> dict[str, Any]:
    section: Any = settings.optimizer
    in_bfloat16 = settings.training.precision == "mixed_bfloat16"
    return {
        "momentum": section.momentum,
        "adam_lr_ratio": section.adam_learning_rate / section.learning_rate,
        "adam_weight_decay": section.weight_decay or None,
        "exclude_layers": list(NOT_FOR_MUON),
        "newton_schulz_dtype": "bfloat16" if in_bfloat16 else "float32",
    }


# By the setting `optimizer.name`: Keras' class, and what it takes beside what all of them take.
# Keras' AdamW is Adam whose weight decay is on by default; the settings say that already.
_OPTIMIZERS: dict[str, tuple[Any, Callable[[Settings], dict[str, Any]]]] = {
    "adam": (keras.optimizers.Adam, _adam),
    "adamw": (keras.optimizers.Adam, _adam),
    "sgd": (keras.optimizers.SGD, _sgd),
    "rmsprop": (keras.optimizers.RMSprop, _rmsprop),
    "lion": (keras.optimizers.Lion, _lion),
    "muon": (Muon, _muon),
}


class Extensions(keras.optimizers.Optimizer):
    """What kmixer adds to Keras' optimizers: an L2 term, and a learning rate for each weight.

    Args:
        l2: share of a weight that is added to its gradient, as PyTorch's Adam does for its weight
            decay; the sum is what `clip_norm` clips. Keras' `kernel_regularizer` would do it
            through the loss, which is to stay comparable.
        l2_on_all: norms and biases, too, as there; False: they are spared.
        multipliers: of the learning rate, and of the weight decay, by a weight's path; None: 1 for
            all. Keras has one rate for all weights, but updates any list of them with the rate it
            is given, and decays any list of them with the factor that it has then.
        options: those of the Keras optimizer.
    """

    def __init__(
        self,
        l2: float = 0.0,
        multipliers: Mapping[str, float] | None = None,
        l2_on_all: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.l2, self.l2_on_all = l2, l2_on_all
        self.multipliers = multipliers and dict(multipliers)

    def apply(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[Any] | None = None
    ) -> None:
        if self.l2:
            trainable_variables = trainable_variables or self._trainable_variables  # JAX gives none
            grads = [self._with_l2(g, v) for g, v in zip(grads, trainable_variables, strict=True)]
        super().apply(grads, trainable_variables)

    def _with_l2(self, gradient: Tensor, variable: Any) -> Tensor:
        spared = variable.name in NOT_DECAYED and not self.l2_on_all
        if gradient is None or spared:
            return gradient
        return gradient + self.l2 * variable

    def _backend_update_step(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[Any], learning_rate: Tensor
    ) -> None:
        pairs = zip(trainable_variables, grads, strict=True)
        for multiplier, group in self._by_multiplier(pairs):
            variables, group_grads = zip(*group, strict=True)
            super()._backend_update_step(group_grads, variables, learning_rate * multiplier)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        decays = {name: value for name in WEIGHT_DECAYS if (value := getattr(self, name, None))}
        for multiplier, group in self._by_multiplier((variable,) for variable in variables):
            for name, value in decays.items():
                setattr(self, name, value * multiplier)
            # torch refuses an empty list, which is what Keras would make of norms alone
            if decayed := [v for (v,) in group if self._use_weight_decay(v)]:
                super()._apply_weight_decay(decayed)
        for name, value in decays.items():
            setattr(self, name, value)

    def _by_multiplier(
        self, items: Iterable[tuple[Any, ...]]
    ) -> Iterable[tuple[float, list[tuple[Any, ...]]]]:
        """Group tuples that begin with a variable by the variable's multiplier."""
        groups: dict[float, list[tuple[Any, ...]]] = defaultdict(list)
        for item in items:
            path = item[0].path
            groups[1.0 if self.multipliers is None else self.multipliers[path]].append(item)
        return groups.items()

    def get_config(self) -> dict[str, Any]:
        multipliers = self.multipliers and dict(self.multipliers)
        own = {"l2": self.l2, "l2_on_all": self.l2_on_all, "multipliers": multipliers}
        return super().get_config() | own


def _extend(keras_class: Any) -> Any:
    """Return a Keras optimizer's class with `Extensions`, such as `ExtendedAdam`.

    It is registered as `kmixer>ExtendedAdam`, the name in model.keras.
    """
    # On torch, Keras makes an instance of another class, which updates all weights at once.
    implementation = type(keras_class.__new__(keras_class))
    name = f"Extended{keras_class.__name__}"
    extended = type(name, (Extensions, implementation), {"__module__": __name__})
    return keras.saving.register_keras_serializable(PACKAGE)(extended)


_EXTENDED = {cls: _extend(cls) for cls in {keras_class for keras_class, _ in _OPTIMIZERS.values()}}


def _learning_rate(settings: Settings, steps_per_epoch: int) -> Any:
    """Return a number, or Keras' schedule per step; schedules per epoch are callbacks."""
    peak, schedule = settings.optimizer.learning_rate, settings.schedule
    if schedule.name != "cosine":
        return peak
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    total = chosen(settings.training.epochs) * steps_per_epoch
    falling = keras.optimizers.schedules.CosineDecay(
        peak, decay_steps=max(total - warmup, 1), alpha=schedule.final_share
    )
    return Warmup(peak, warmup, falling) if warmup else falling


@keras.saving.register_keras_serializable(PACKAGE)
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises from 0 to its peak in a line, and then follows another schedule.

    Keras' CosineDecay has a warmup too, but by `ops.cond`, which JAX compiles anew, and keeps in
    memory, each time the rate is asked for outside of a compiled step.

    Args:
        peak: the learning rate after the warmup.
        steps: of the warmup.
        after: the schedule from there on, which counts its steps from 0.
    """

    def __init__(self, peak: float, steps: int, after: Any) -> None:
        self.peak, self.steps, self.after = peak, steps, after

    def __call__(self, step: Tensor) -> Tensor:
        step, steps = ops.cast(step, "float32"), ops.cast(self.steps, "float32")
        rising = ops.cast(self.peak, "float32") * (step / steps)
        return ops.where(step < steps, rising, self.after(ops.maximum(step - steps, 0.0)))

    def get_config(self) -> dict[str, Any]:
        after = keras.saving.serialize_keras_object(self.after)
        return {"peak": self.peak, "steps": self.steps, "after": after}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        after = keras.saving.deserialize_keras_object(config["after"])
        return cls(config["peak"], config["steps"], after)


def compile_model(
    model: keras.Model,
    settings: Settings,
    steps_per_epoch: int,
    multipliers: Mapping[str, float] | None = None,
    learning_rate: Any = None,
) -> None:
    """Compile with the settings' optimizer, cross-entropy on logits, and accuracy.

    Args:
        model: the `keras.Model`.
        settings: resolved `Settings`.
        steps_per_epoch: batches in an epoch.
        multipliers: see `build_optimizer`.
        learning_rate: see `build_optimizer`.
    """
    model.compile(
        optimizer=build_optimizer(settings, steps_per_epoch, multipliers, learning_rate),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=settings.training.jit,
        steps_per_execution=settings.training.steps_per_execution,
    )
