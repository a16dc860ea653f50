"""Published weights that have short names, and timm's names of Mixers with weights.

A name may carry the SHA-256 of its `model.safetensors` here; None where it was not verified: then
the one that the Hub states is compared, and recorded in the run.
"""

# timm's models of this kind whose weights were published, in its repository `timm/NAME` on the Hub.
TIMM: dict[str, str | None] = {
    "mixer_b16_224.goog_in21k_ft_in1k": None,
    "mixer_b16_224.goog_in21k": None,
    "mixer_b16_224.miil_in21k_ft_in1k": None,
    "mixer_b16_224.miil_in21k": None,
    "mixer_l16_224.goog_in21k_ft_in1k": None,
    "mixer_l16_224.goog_in21k": None,
}
ALIASES = {
    "mixer-b16": "mixer_b16_224.goog_in21k_ft_in1k",
    "mixer-l16": "mixer_l16_224.goog_in21k_ft_in1k",
    "mixer_b16_224": "mixer_b16_224.goog_in21k_ft_in1k",  # timm means the same by them
    "mixer_l16_224": "mixer_l16_224.goog_in21k_ft_in1k",
}
