"""Settings → optimizer and learning-rate schedule."""

from collections import defaultdict

import keras
from keras import ops

NOT_DECAYED = ("bias", "gamma", "beta")
WEIGHT_DECAYS = ("weight_decay", "adam_weight_decay")  # Muon has one for each of its halves
NOT_FOR_MUON = ("(^|/)stem/", "(^|/)head/")


def build_optimizer(settings, steps_per_epoch, shares=None):
    """Build the Keras optimizer, its learning rate already scheduled where that is per step.

    Args:
        settings: the run's `Settings`.
        steps_per_epoch: batches in an epoch.
        shares: of the learning rate, by a weight's path; default all of it.
    """
    chosen = settings.optimizer
    accumulated = chosen.gradient_accumulation_steps
    options = {
        "learning_rate": _learning_rate(settings, steps_per_epoch),
        "weight_decay": chosen.weight_decay or None,
        "global_clipnorm": chosen.clip_norm,
        "gradient_accumulation_steps": accumulated if accumulated > 1 else None,
        "use_ema": chosen.ema is not None,
        # Keras averages after every batch, whether it was a step or only accumulated.
        "ema_momentum": (chosen.ema or 0.99) ** (1 / accumulated),
    }
    optimizer = _OPTIMIZERS[chosen.name](chosen, options)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    if chosen.l2:
        _add_l2(optimizer, chosen.l2)
    if shares:
        _scale_by_path(optimizer, shares)
    return optimizer


def _scale_by_path(optimizer, shares):
    """Let each weight learn, and decay, with its share of the learning rate.

    Keras has one rate for all weights, but updates any list of them with the rate it is given, and
    decays any list of them with the factor that it has then.
    """
    update, decay = optimizer._backend_update_step, optimizer._apply_weight_decay
    whole = {name: factor for name in WEIGHT_DECAYS if (factor := getattr(optimizer, name, None))}

    def alike(pairs):
        groups = defaultdict(list)
        for *values, variable in pairs:
            groups[shares[variable.path]].append((*values, variable))
        return groups.items()

    def update_by_share(grads, trainable_variables, learning_rate):
        for share, group in alike(zip(grads, trainable_variables, strict=True)):
            update(*zip(*group, strict=True), learning_rate * share)

    def decay_by_share(variables):
        for share, group in alike(zip(variables)):
            for name, factor in whole.items():
                setattr(optimizer, name, factor * share)
            # torch refuses a list of none, which is what Keras would make of norms alone
            if decayed := [v for (v,) in group if optimizer._use_weight_decay(v)]:
                decay(decayed)
        for name, factor in whole.items():
            setattr(optimizer, name, factor)

    optimizer._backend_update_step = update_by_share
    optimizer._apply_weight_decay = decay_by_share


def _add_l2(optimizer, share):
    """Add a share of each weight to its gradient, as PyTorch's Adam does for its weight decay.

    Unlike there, norms and biases are spared, and the sum is what `clip_norm` clips. Keras'
    `kernel_regularizer` would do it through the loss, which is to stay comparable.
    """
    apply = optimizer.apply

    def apply_with_l2(grads, trainable_variables=None):
        variables = trainable_variables or optimizer._trainable_variables  # JAX passes none
        apply([_with_l2(g, v, share) for g, v in zip(grads, variables, strict=True)], variables)

    optimizer.apply = apply_with_l2


def _with_l2(gradient, variable, share):
    if gradient is None or variable.name in NOT_DECAYED:
        return gradient
    return gradient + share * variable


def _adam(chosen, options):
    own = {"beta_1": chosen.beta_1, "beta_2": chosen.beta_2, "epsilon": chosen.epsilon}
    return keras.optimizers.Adam(**own, **options)


def _sgd(chosen, options):
    return keras.optimizers.SGD(momentum=chosen.momentum, nesterov=chosen.nesterov, **options)


def _rmsprop(chosen, options):
    return keras.optimizers.RMSprop(rho=chosen.rho, momentum=chosen.momentum, **options)


def _lion(chosen, options):
    return keras.optimizers.Lion(beta_1=chosen.beta_1, beta_2=chosen.beta_2, **options)


def _muon(chosen, options):
    return keras.optimizers.Muon(
        momentum=chosen.momentum,
        adam_lr_ratio=chosen.adam_learning_rate / chosen.learning_rate,
        adam_weight_decay=options["weight_decay"],
        exclude_layers=list(NOT_FOR_MUON),
        **options,
    )


# Keras' AdamW is Adam whose weight decay is on by default; the settings say that already.
_OPTIMIZERS = {
    "adam": _adam, "adamw": _adam, "sgd": _sgd, "rmsprop": _rmsprop, "lion": _lion, "muon": _muon,
}  # fmt: skip


def _learning_rate(settings, steps_per_epoch):
    """Return a number, or Keras' schedule per step; schedules per epoch are callbacks."""
    rate, schedule = settings.optimizer.learning_rate, settings.schedule
    if schedule.name != "cosine":
        return rate
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    total = settings.training.epochs * steps_per_epoch
    falling = keras.optimizers.schedules.CosineDecay(
        rate, decay_steps=max(total - warmup, 1), alpha=schedule.final_share
    )
    return Warmup(rate, warmup, falling) if warmup else falling


@keras.saving.register_keras_serializable("kmixer")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises from 0 to its peak in a line, and then is another schedule's.

    Keras' CosineDecay has a warmup too, but by `ops.cond`, which JAX compiles anew, and keeps in
    memory, each time the rate is asked for outside of a compiled step.

    Args:
        peak: the learning rate after the warmup.
        steps: of the warmup.
        after: the schedule from there on, which counts its steps from 0.
    """

    def __init__(self, peak, steps, after):
        self.peak, self.steps, self.after = peak, steps, after

    def __call__(self, step):
        step, steps = ops.cast(step, "float32"), ops.cast(self.steps, "float32")
        rising = ops.cast(self.peak, "float32") * (step / steps)
        return ops.where(step < steps, rising, self.after(ops.maximum(step - steps, 0.0)))

    def get_config(self):
        after = keras.saving.serialize_keras_object(self.after)
        return {"peak": self.peak, "steps": self.steps, "after": after}

    @classmethod
    def from_config(cls, config):
        after = keras.saving.deserialize_keras_object(config["after"])
        return cls(config["peak"], config["steps"], after)


def compile_model(model, settings, steps, shares=None):
    """Compile with the settings' optimizer, cross-entropy on logits, and accuracy.

    Args:
        model: the `keras.Model`.
        settings: resolved `Settings`.
        steps: batches in an epoch.
        shares: of the learning rate, by a weight's path.
    """
    model.compile(
        optimizer=build_optimizer(settings, steps, shares),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=settings.training.jit,
        steps_per_execution=settings.training.steps_per_execution,
    )
