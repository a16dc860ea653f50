"""A page of `writers/web.py`, opened in Chromium from a file as people open it."""

from base64 import b64encode
from pathlib import Path

import numpy as np

from ..files.private_folder import as_folder
from ..page.assemble import is_own
from .browser import Chromium, find_browser, has_sandbox, lacking_browser
from .contents import Contents
from .runtimes import Predict


def opened_page(files: Contents, name: str) -> tuple[Predict, str]:
    """Open a page, and ask the model that it holds.

    Args:
        files: of the export.
        name: of the page among them.

    Returns:
        A function of images, and the browser's version. The function raises ValueError if the page
        has asked for anything outside of itself.

    Raises:
        ValueError: there is no browser, or it has no sandbox for scripts that are not kmixer's.
    """
    program = find_browser()
    if program is None:
        raise ValueError(f"it needs {lacking_browser()}")
    if not has_sandbox() and not is_own(files[name].decode()):
        raise ValueError(
            "its scripts are not those of this kmixer, and a browser that root starts has no"
            " sandbox: open it as another user"
        )
    browser = Chromium(program)
    with as_folder(files) as folder:
        address = Path(folder, name).as_uri()
        session = browser.open(address)

    def predict(images: np.ndarray) -> np.ndarray:
        levels = b64encode(images.tobytes()).decode()
        rows = browser.evaluate(session, f'probabilities("{levels}")')
        if asked := sorted(browser.requested - {address}):
            raise ValueError(f"the page asks for {asked[0][:200]}")
        return np.array(rows, np.float32)

    return predict, browser.version
