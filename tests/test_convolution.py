"""Convolutions of our own: the same function as torch's, without the faults of its kernels."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from avaffect.models.convolution import StridedPointwise
from avaffect.models.resnet import VideoResNet18

# Backward passes whose smallest convolutions have 4 channels, often enough to meet the heap's
# borders.
TRAINING = """
import torch
from avaffect.models.resnet import VideoResNet18, clip_windows
torch.set_num_threads(1)
valid = torch.ones(4, 10, dtype=torch.bool)
model = VideoResNet18(width=4, activation="relu")
for _ in range(10):
    model(torch.randn(40, 1, 32, 32), clip_windows(valid)).sum().backward()
print("whole")
"""


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_strided_pointwise_is_the_strided_convolution(size, stride):
    torch.manual_seed(0)
    ours = StridedPointwise(4, 6, stride).double()
    theirs = nn.Conv2d(4, 6, 1, stride, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 4, *size, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, expected = ours(x), theirs(y)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_no_strided_convolution_of_kernel_1_is_torch_s_own():
    convolutions = [m for m in VideoResNet18(4).modules() if isinstance(m, nn.Conv2d)]
    pointwise = [m for m in convolutions if m.kernel_size == (1, 1) and m.stride != (1, 1)]
    assert len(pointwise) == 3
    assert all(isinstance(m, StridedPointwise) for m in pointwise)


@pytest.mark.parametrize("processor", ["AVX2", "SSE41"])
def test_small_faces_train_on_processors_without_avx512(processor):
    """With glibc's checks of the heap: a write past a buffer aborts the process."""
    checks = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"}
    environment = {**os.environ, **checks, "ONEDNN_MAX_CPU_ISA": processor}
    found = subprocess.run(
        [sys.executable, "-c", TRAINING], env=environment, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout.strip()) == (0, "whole"), found.stderr
