"""Import of torchaudio, also without its compiled library.

The published wheel is built against CUDA: with a CPU build of torch its library does not load
and `import torchaudio` raises OSError. All functions used here (Kaldi features, mel filters,
deltas, resampling) are plain torch code, so in that case `torchaudio._extension` is replaced by an
empty module. The rest of the project imports torchaudio from here:

    from avaffect.signal.audio import torchaudio
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_EXTENSION = "torchaudio._extension"


def _unavailable(function: Any) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError(
            f"torchaudio's {function.__name__} needs its compiled library, which does not load "
            "with this build of torch"
        )

    return call


def _stand_in() -> ModuleType:
    """A module with the names that torchaudio imports from `torchaudio._extension`."""
    module = ModuleType(_EXTENSION)
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    module._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    module.fail_if_no_align = _unavailable  # type: ignore[attr-defined]
    return module


def import_torchaudio() -> ModuleType:
    """torchaudio, with or without its compiled library.

    Raises ImportError if torchaudio is not installed, and OSError if the import fails without its
    compiled library too.
    """
    try:
        return importlib.import_module("torchaudio")
    except OSError:
        # A failed import leaves the submodules that were imported before it failed.
        for name in [n for n in sys.modules if n.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules[_EXTENSION] = _stand_in()
        try:
            return importlib.import_module("torchaudio")
        except BaseException:
            sys.modules.pop(_EXTENSION, None)
            raise


torchaudio = import_torchaudio()
