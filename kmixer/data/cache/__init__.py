"""What reading a folder of images gave, kept for the next time.

An entry is found by a key over all that decides what reading gives (`keys.py`): the folder's path,
each file's path, inode, size, time of change and time of its inode's change, the `Decoding`, and
the code and libraries that decode. The bytes of the files are not part of it: hashing a thousand
photos takes seconds, and it is the inode's time, which no program can set back, that shows a file
whose content was changed under its old size and date. What stays unseen is a change of a file
system without such times (FAT, Windows) that keeps size and date.

A file (`entry.py`) holds pixels and a footer with checksums; one that is cut short or damaged is
made anew. Entries are written under another name first, so that of two processes either one's is
whole (`folder.py`). The folder is bounded: what was used least recently goes first. A folder that
cannot be written means that nothing is kept, never an error.
"""

from .entry import Entry, EntryWriter
from .folder import CacheFolder, StoredEntry, find_cache_folder, usable_cache
from .keys import facts_key, pixels_key

__all__ = [
    "CacheFolder",
    "Entry",
    "EntryWriter",
    "StoredEntry",
    "facts_key",
    "find_cache_folder",
    "pixels_key",
    "usable_cache",
]
