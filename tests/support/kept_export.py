"""The export that the repository keeps, served by a process of its own."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

KEPT = Path(__file__).parent.parent / "exporting" / "format-1"
FILES = ("manifest.json", "labels.txt", "README.md", "model.tflite")


def copy_export(folder):
    """Copy the kept export's own files into a new folder; return the folder."""
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(KEPT / name, folder / name)
    return folder


class Serving:
    """`kmixer serve` as a process, its stderr in a file beside the export."""

    def __init__(self, folder, *options, env=None):
        self.log = folder.with_name(f"{folder.name}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kmixer_cli", "serve", str(folder), "--port", "0",
                 "--name", "halves", *map(str, options)],
                stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | (env or {}),
            )  # fmt: skip
        said = ""
        while "Ctrl-C" not in said:
            line = self.process.stdout.readline()
            assert line, self.log.read_text()
            said += line
        self.port = int(re.search(r":(\d+)/", said).group(1))
        self.said = said

    def raw(self, content, timeout=30, end=False):
        """Send bytes on a connection of their own; return all that comes back until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(content)
            if end:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionResetError:
                pass
        return received

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.communicate(timeout=60)
