"""The command line: parse, call one library function, print."""

import time

STARTED = time.perf_counter()  # as near to the command's start as it can be known
