"""Numbers of bytes as people write them, such as 65536, 256k or 1M."""

import re

UNITS = {"": 1, "k": 2**10, "m": 2**20}  # as the makers of chips count


def read_bytes(text: str) -> int:
    """Return the bytes of a text; k is 1,024 of them and M 1,024².

    Raises:
        ValueError: it is no such text, or means no byte.

    Example:
        >>> read_bytes("256k"), read_bytes("65536")
        (262144, 65536)
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmKM]?)i?[bB]?", text.strip())
    size = int(float(found[1]) * UNITS[found[2].lower()]) if found and len(found[1]) < 16 else 0
    if not size:
        raise ValueError(f"received {text!r}, expected bytes such as 65536, 256k or 1M")
    return size
