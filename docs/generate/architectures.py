"""kmixer/config/architectures.json, from the models as they are built."""

import json

from kmixer.evaluation.model_table import architecture, architecture_names


def architectures():
    """Return the file: a line for each architecture."""
    rows = [json.dumps(architecture(name).describe()) for name in architecture_names()]
    return "[\n  " + ",\n  ".join(rows) + "\n]\n"
