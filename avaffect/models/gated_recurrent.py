"""A GRU layer that trains faster than torch's on the CPU, under the same parameter names.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      n  = tanh(W_in x + b_in + r (W_hn h + b_hn))
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)      h' = n + z (h - n)

(Cho et al. 2014; the reset gate follows the product, as in torch and cuDNN.) torch differentiates
this frame by frame, and updates the gradient of every weight at each frame. Here only computations
that need the frame before are in the loop; the gradient of a weight is one product over all frames.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp import custom_bwd, custom_fwd
from torch.autograd.function import once_differentiable

# Frames whose derivatives are computed at once: many to save calls, few enough for the cache.
_FRAMES_AT_ONCE = 8

# Gradients that fade over time become denormal, and products of denormal numbers take ten times as
# long.
_NOTHING = 1e-25

_through_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
_through_tanh = torch.ops.aten.tanh_backward.grad_input


class GatedRecurrent(nn.GRU):
    """nn.GRU(inputs, hidden, batch_first=True): one layer, in one direction.

    Its own passes are used for training on the CPU; otherwise those of torch. Under autocast the
    factors of matrix products are in half precision, gates, state and sums over frames in float32,
    which keeps gradients accurate over long clips. There are no second derivatives.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, T, inputs), (1, B, hidden) or zeros -> (B, T, hidden), the last state"""
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        trained = torch.is_grad_enabled() and any(w.requires_grad for w in (x, *weights))
        if state is not None or not trained or x.device.type != "cpu" or x.numel() == 0:
            return super().forward(x, state)
        half = torch.is_autocast_enabled("cpu")
        factor = torch.get_autocast_dtype("cpu") if half else x.dtype
        found = _Recurrence.apply(x, *weights, factor)
        return found, found[:, -1][None]


class _Recurrence(torch.autograd.Function):
    """Gates are (T, 4, H, B) in the order W_hn h + b_hn, r, z, n: the recurrent weights give the
    first three, the weights of the input the last three.

    Clips are the last dimension, so that weights are the left factor of each product: oneDNN
    rearranges the right factor in every call.
    """

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any,
        x: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        factor: torch.dtype,
    ) -> Tensor:
        """x (B, T, I), weights as in nn.GRU, dtype of factors in products -> (B, T, H)."""
        clips, frames, inputs = x.shape
        hidden = weight_hh.shape[1]
        x = x.transpose(0, 1).to(factor).reshape(frames * clips, inputs)
        from_input = weight_ih.to(factor)
        from_state = weight_hh.roll(hidden, 0).to(factor)
        bias = torch.cat([(bias_ih + bias_hh)[: 2 * hidden], bias_ih[2 * hidden :]])
        driven = torch.addmm(bias.to(factor), x, from_input.t())
        gates = bias.new_empty(frames, 4, hidden, clips)
        gates[:, 0] = bias_hh[2 * hidden :, None]
        gates[:, 1:] = driven.view(frames, clips, 3, hidden).permute(0, 2, 3, 1)
        states, factors = _run(gates, from_state)
        ctx.save_for_backward(x, from_input, from_state, gates, states, factors)
        return states[1:].permute(2, 0, 1)

    @staticmethod
    @custom_bwd(device_type="cpu")
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, from_input, from_state, gates, states, factors = ctx.saved_tensors
        frames, _, hidden, clips = gates.shape
        dtype = gates.dtype
        gradient = gradient.to(dtype).permute(1, 2, 0).contiguous()
        found = _run_back(gradient, gates, states, from_state)
        found = found.view(frames, 4 * hidden, clips).transpose(0, 1).reshape(4 * hidden, -1)
        by_input, by_state = found[hidden:], found[: 3 * hidden]
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = from_input.t().contiguous() @ by_input
            to_x = to_x.view(-1, frames, clips).permute(2, 1, 0).to(dtype)
        before = factors[:-1].transpose(1, 2).reshape(frames * clips, hidden)
        bias = found.sum(dim=1).to(dtype)
        return (
            to_x,
            (by_input @ x).to(dtype),
            (by_state @ before).to(dtype).roll(-hidden, 0),
            bias[hidden:],
            bias[: 3 * hidden].roll(-hidden),
            None,
        )


def _run(gates: Tensor, from_state: Tensor) -> tuple[Tensor, Tensor]:
    """Convert the contributions of inputs and biases, (T, 4, H, B), to gates, in place.

    from_state (3 H, H) in the dtype of factors. Returns the states (T + 1, H, B) before the first
    frame and after each, in float32 and as factors.
    """
    frames, _, hidden, clips = gates.shape
    states = gates.new_empty(frames + 1, hidden, clips)
    factors = states.to(from_state.dtype)
    rounded = factors is not states
    states[0] = factors[0] = 0.0
    product = from_state.new_empty(3 * hidden, clips)
    recurrent = gates.view(frames, 4 * hidden, clips)[:, : 3 * hidden]
    for gate, sums, before, after, factor, next_factor in zip(
        gates.unbind(),
        recurrent.unbind(),
        states[:-1].unbind(),
        states[1:].unbind(),
        factors[:-1].unbind(),
        factors[1:].unbind(),
        strict=True,
    ):
        torch.mm(from_state, factor, out=product)
        sums.add_(product)
        gate[1:3].sigmoid_()
        candidate, r, z, n = gate.unbind()
        n.addcmul_(r, candidate).tanh_()
        torch.lerp(n, before, z, out=after)
        if rounded:
            next_factor.copy_(after)
    return states, factors


def _run_back(gradient: Tensor, gates: Tensor, states: Tensor, from_state: Tensor) -> Tensor:
    """Gradients (T, 4, H, B), as factors, with respect to the gates' inputs, in the gates' order;
    `gradient` (T, H, B): with respect to the frames."""
    frames, _, hidden, clips = gates.shape
    to_state = from_state.t().contiguous()
    found = from_state.new_empty(gates.shape)
    recurrent = found.view(frames, 4 * hidden, clips)[:, : 3 * hidden]
    product = from_state.new_empty(hidden, clips)
    carried = gates.new_zeros(hidden, clips)
    for start in reversed(range(0, frames, _FRAMES_AT_ONCE)):
        carried = F.hardshrink(carried, _NOTHING)
        part = slice(start, start + _FRAMES_AT_ONCE)
        steps = zip(
            gradient[part].unbind(),
            _derivatives(gates[part], states[part]).unbind(),
            gates[part, 2].unbind(),
            found[part].unbind(),
            recurrent[part].unbind(),
            strict=True,
        )
        for given, derivative, z, gate, sums in reversed(list(steps)):
            carried.add_(given)
            torch.mul(derivative, carried, out=gate)
            torch.mm(to_state, sums, out=product)
            carried.mul_(z).add_(product)
    return found


def _derivatives(gates: Tensor, before: Tensor) -> Tensor:
    """(T, 4, H, B) derivatives of the new state with respect to the gates' inputs."""
    candidate, r, z, n = gates.unbind(1)
    found = torch.empty_like(gates)
    by_candidate, by_r, by_z, by_n = found.unbind(1)
    before = before[: len(gates)]
    _through_sigmoid(torch.sub(before, n, out=by_z), z, grad_input=by_z)
    _through_tanh(torch.sub(1.0, z, out=by_n), n, grad_input=by_n)
    torch.mul(by_n, r, out=by_candidate)
    _through_sigmoid(torch.mul(by_n, candidate, out=by_r), r, grad_input=by_r)
    return found
