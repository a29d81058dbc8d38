from __future__ import annotations

import importlib
import subprocess
import sys
import types

import pytest

import avaffect.signal.audio as audio

WITHOUT_LIBRARY = """
import sys, torch
def refuse(path):
    raise OSError(f"Could not load this library: {path}")
torch.ops.load_library = refuse
from avaffect.signal.audio import torchaudio
assert torchaudio.__version__
resampled = torchaudio.functional.resample(torch.ones(1, 800), 8000, 16000)
assert resampled.shape == (1, 1600), resampled.shape
cepstra = torchaudio.compliance.kaldi.mfcc(torch.rand(1, 1600), sample_frequency=16000)
assert cepstra.shape == (8, 13), cepstra.shape
import torchaudio.functional as functional
try:
    functional.forced_align(torch.zeros(1, 3, 2), torch.ones(1, 1, dtype=torch.int32))
except RuntimeError as error:
    assert "compiled library" in str(error), error
else:
    raise AssertionError("forced_align ran without the library")
"""


def test_python_parts_work_where_the_library_does_not_load():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARY], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture
def untouched_modules(monkeypatch):
    """sys.modules as it was, whatever a failed import does to it."""
    saved = dict(sys.modules)
    yield
    sys.modules.clear()
    sys.modules.update(saved)


def test_other_errors_of_the_import_are_not_hidden(monkeypatch, untouched_modules):
    def broken(name):
        raise OSError("another library is broken")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(OSError, match="another library"):
        audio.import_torchaudio()
    assert "torchaudio._extension" not in sys.modules


def test_a_library_that_loads_is_left_alone(monkeypatch, untouched_modules):
    whole = types.ModuleType("torchaudio")
    monkeypatch.setattr(importlib, "import_module", lambda name: whole)
    assert audio.import_torchaudio() is whole
