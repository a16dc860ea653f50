"""An exported model behind HTTP: TensorFlow Serving's REST shape, and a page for people."""

import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec

from ..errors import RunError, SettingsError
from ..exporting.artifact import MANIFEST, load_artefact
from ..exporting.formats import FORMATS, QUANTIZATIONS, missing_modules
from ..files.keras_archive import check_run
from ..runs.run import load_run

__all__ = ["build_app", "check_name", "find_artefact", "listening", "run", "served_name"]
