"""`python -m kmixer_cli` is `kmixer`."""

from .start import main

main()
