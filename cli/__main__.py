"""`python -m kmixer_cli` is `kmixer`."""

from .main import main

main()
