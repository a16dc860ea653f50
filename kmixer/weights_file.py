"""The HDF5 file inside a `.keras` file: arrays and nothing that leads out of it."""

import math

from .errors import RunError


def check_weights(path, archive, name, most):
    """Refuse weights that lie elsewhere, or that unpack to more than they may.

    Args:
        path: of the `.keras` file, for errors.
        archive: the open `zipfile.ZipFile`.
        name: of the HDF5 member.
        most: bytes that all arrays may have together.

    Raises:
        RunError: it holds a link, an array kept in another file, or more bytes.
        OSError: it is no HDF5 file, or damaged.
    """
    import h5py

    found = []
    try:
        with archive.open(name) as member, h5py.File(member, "r") as file:
            file.visititems_links(lambda at, link: found.append(_look(file, at, link)))
    except (KeyError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise RunError(f"{path}: its weights cannot be read: {error}") from None
    for at, _, reason in found:
        if reason:
            raise RunError(f"{path}: {at} {reason}, expected arrays of numbers")
    if (size := sum(size for _, size, _ in found)) > most:
        raise RunError(f"{path}: its arrays have {size:,} bytes, at most {most:,} are read")


def _look(file, at, link):
    """Return a link's name, the bytes of the array that it leads to, and what is wrong with it."""
    import h5py

    if not isinstance(link, h5py.HardLink):
        return at, 0, "leads elsewhere"
    item = file[at]
    if not isinstance(item, h5py.Dataset):
        return at, 0, None if isinstance(item, h5py.Group) else "is a type"
    if item.external or item.is_virtual:
        return at, 0, "lies in another file"
    if item.dtype.kind not in "fiubV":
        return at, 0, f"holds {item.dtype}"
    return at, math.prod(item.shape) * item.dtype.itemsize, None
