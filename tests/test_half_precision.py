"""Mixed precision of 16 bits, whose largest number is 65,504: what masks attention stays finite."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from small_encoders import SMALL_TRANSFORMER

from avaffect.models.encoder import Frames
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.registry import HEADS
from avaffect.models.transformer import TransformerEncoder

INPUTS = HeadInput("audio", 3, 20.0), HeadInput("video", 4, 10.0)
SMALL = {
    "vavl": {"projection": 4, "hidden": 8, "units": 8, "audio_layers": 1, "video_layers": 1,
             "shared_layers": 1, "attention_heads": 2, "kernel": 3},
    "uavm": {"width": 16, "heads": 2, "layers": 1, "shared_layers": 1},
    "auxformer": {"width": 8, "heads": 2, "layers": 1},
    "mult": {"width": 8, "heads": 2, "layers": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", list(SMALL))
def test_heads_on_two_streams(name: str) -> None:
    torch.manual_seed(0)
    frames = {"audio": Frames(torch.randn(4, 40, 3), torch.tensor([40, 3, 0, 1])),
              "video": Frames(torch.randn(4, 35, 4), torch.tensor([0, 35, 3, 1]))}  # fmt: skip
    described = {"inputs": [asdict(item) for item in INPUTS], "outputs": 3, **SMALL[name]}
    head = HEADS[name].make(described).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        found = head(frames).utterance
    with torch.no_grad():
        torch.testing.assert_close(found, head(frames).utterance, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_an_utterance_without_valid_frames(pre_norm: bool) -> None:
    torch.manual_seed(0)
    encoder = TransformerEncoder(replace(SMALL_TRANSFORMER, pre_norm=pre_norm)).eval()
    valid = torch.tensor([[True] * 4, [False] * 4])
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        assert encoder(torch.randn(2, 4, 16).half(), valid).isfinite().all()
