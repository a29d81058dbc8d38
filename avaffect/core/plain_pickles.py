"""Tables that a corpus publishes as a pickle: numbers, texts, lists and dictionaries of them.

A pickle may name any function of any module and have it called. Here every name is refused before
it is looked up, but for those of a single number of numpy's, in whose place stand functions of this
module; what remains builds plain values alone. Files of weights are read elsewhere
(training/unpickling.py).
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avaffect.core import faults
from avaffect.core.errors import DataError

# A corpus's labels and texts take a few megabytes.
LARGEST_BYTES = 256 << 20
# numpy's types of a number -> struct's.
_CODES = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B"}


def read(path: Path) -> Any:
    """The value in a pickle of any protocol; texts of Python 2 are read as Latin-1.

    Raises DataError where the file is cut short, is no pickle, or holds anything but plain values:
    nothing of it is run.
    """
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise DataError(f"{path}: {size >> 20} MiB are no table of labels")
    content = path.read_bytes()
    try:
        return _Plain(io.BytesIO(content), encoding="latin-1").load()
    except _Named as error:
        raise DataError(
            f"{path} names {error}, which reading it might run: refused, nothing was run; a table "
            "of labels holds numbers and texts alone"
        ) from error
    except Exception as error:
        faults.check_machine(path, error)
        raise DataError(
            f"{path} cannot be read as a pickle ({error}): it is cut short, or no pickle"
        ) from error


class _Named(Exception):
    """A name in a pickle that is not looked up."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if module.split(".")[0] == "numpy" and name == "scalar":
            return _number
        if (module, name) == ("numpy", "dtype"):
            return _Type
        if (module, name) == ("_codecs", "encode"):
            # Python 3 writes bytes so for readers of protocols 0 to 2.
            return _bytes
        raise _Named(f"{module}.{name}")

    def persistent_load(self, identity: Any) -> Any:
        raise _Named(f"the object {identity!r} of another file")


class _Type:
    """In place of numpy.dtype."""

    order = "<"

    def __init__(self, code: str = "", *flags: Any) -> None:
        self.code = str(code)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.order = ">"


def _bytes(text: Any, *encoding: Any) -> bytes:
    return str(text).encode("latin-1")


def _number(kind: Any, content: Any) -> float | int:
    """In place of numpy's constructor of a number from its type and bytes."""
    if not isinstance(kind, _Type) or kind.code not in _CODES:
        raise _Named(f"a number of type {getattr(kind, 'code', kind)!r}")
    if isinstance(content, str):
        # Bytes of Python 2.
        content = content.encode("latin-1")
    (value,) = struct.unpack(kind.order + _CODES[kind.code], content)
    return value
