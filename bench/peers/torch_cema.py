"""Megalodon's complex moving average of every channel, as a convolution by FFT.

    h[n, t] = q[n] h[n, t-1] + p[n] x[t]              p = sigmoid(alpha)
    y[t] = sum_n Re(g[n] h[n, t]) + omega x[t]        q = (1 - p sigmoid(delta)) exp(i phi[n])

with phi[n] = n sigmoid(theta) 2 pi / N, n = 1 ... N, and g = sqrt(1/N) gamma. Powers of q come
as products of two short tables, q^(a c + b) = (q^c)^a q^b, so that no table of all of them is
made. Shapes: B rows, D width, L steps, N states; c steps a block, A blocks.
"""

import math

import torch
from torch import nn

BLOCK = 64  # steps


def truncated_normal(tensor, std, cut=3.0):
    nn.init.trunc_normal_(tensor, std=std, a=-cut * std, b=cut * std)


class ComplexEma(nn.Module):
    def __init__(self, width, states):
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(width, states, 1) * 0.2)
        self.delta = nn.Parameter(torch.randn(width, states, 1) * 0.2)
        share = torch.exp(torch.arange(1, width + 1) * (-math.log(width) / width))
        share = share[torch.randperm(width)].view(width, 1, 1)
        self.theta = nn.Parameter(torch.log(share / (1 - share)))
        read = torch.stack([torch.randn(width, states), torch.zeros(width, states)], -1)
        self.gamma = nn.Parameter(read)
        self.omega = nn.Parameter(torch.empty(width, 1))
        truncated_normal(self.omega, 0.25, 4.0)
        self.kept = {}

    def coefficients(self):
        """p (D, N), ln |q| and the angle of q (D, N), g (D, N, 2)."""
        states = self.alpha.shape[1]
        p = torch.sigmoid(self.alpha)
        decay = torch.log1p(-p * torch.sigmoid(self.delta))
        wave = torch.arange(1, states + 1, dtype=p.dtype).view(1, -1, 1) * (2 * math.pi / states)
        angle = torch.sigmoid(self.theta) * wave
        return p.squeeze(-1), decay.squeeze(-1), angle.squeeze(-1), self.gamma * states**-0.5

    def kept_as(self, key, make):
        """Fixed weights give fixed tables: kept until the next training step."""
        if self.training:
            if self.kept:
                self.kept = {}
            return make()
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def kernel(self, length):
        """(D, L): sum_n Re(p g q^j) for j = 0 ... L - 1."""
        p, decay, angle, g = self.coefficients()
        blocks = -(-length // BLOCK)
        inner = powers(decay, angle, 0, min(length, BLOCK))
        outer = powers(decay, angle, 0, blocks, BLOCK)
        left = product(parts(p.unsqueeze(-1) * g), outer)
        return real_sum(left, inner).flatten(1)[:, :length]

    def tail(self, h, length):
        """(B, D, L): what the state before the first step gives to each, Re(sum_n g q^(t+1) h)."""
        _, decay, angle, g = self.coefficients()
        inner = powers(decay, angle, 1, min(length, BLOCK))
        outer = powers(decay, angle, 0, -(-length // BLOCK), BLOCK)
        # (D, 1, N, A) by (D, B, N, 1), then with (D, 1, N, c)
        left = [x.unsqueeze(1) for x in product(parts(g), outer)]
        left = product(left, parts(h.transpose(0, 1)))
        inner = [x.unsqueeze(1) for x in inner]
        return real_sum(left, inner).flatten(2)[..., :length].transpose(0, 1)

    def last(self, x, h):
        """(B, D, N, 2): the state after the last step, sum_j p q^(L-1-j) x_j + q^L h."""
        p, decay, angle, _ = self.coefficients()
        length, blocks = x.shape[-1], -(-x.shape[-1] // BLOCK)
        x = nn.functional.pad(x, (blocks * BLOCK - length, 0)).unflatten(-1, (blocks, BLOCK))
        inner = [t.flip(-1) for t in powers(decay, angle, 0, BLOCK)]
        outer = [t.flip(-1) for t in powers(decay, angle, 0, blocks, BLOCK)]
        # each block's sum (B, D, N, A), then all blocks'
        sums = [torch.einsum("bdac,dnc->bdna", x, t) for t in inner]
        state = [p * t.sum(-1) for t in product(outer, sums)]
        if h is not None:
            whole = [t.squeeze(-1) for t in powers(decay, angle, length, 1)]
            state = [a + b for a, b in zip(state, product(whole, h.unbind(-1)))]
        return torch.stack(state, -1)

    def constants(self):
        """p (D, N), q and g (D, N), complex."""
        p, decay, angle, g = self.coefficients()
        return p, torch.polar(decay.exp(), angle), torch.view_as_complex(g)

    def step(self, x, h):
        """One step by the recursion; x (B, D, 1)."""
        p, q, g = self.kept_as("constants", self.constants)
        state = p * x if h is None else torch.addcmul(p * x, q, torch.view_as_complex(h))
        y = (g * state).real.sum(-1, keepdim=True)
        state = state.to(q.dtype)
        return torch.addcmul(y, self.omega, x), torch.view_as_real(state)

    def forward(self, x, h=None, wants_state=False):
        """y of x (B, D, L), and the state (B, D, N, 2) after it, if wanted."""
        length, kind = x.shape[-1], x.dtype
        x = x if x.dtype == torch.float64 else x.float()
        if length == 1 and wants_state:
            y, h = self.step(x, h)
            return y.to(kind), h
        kernel = self.kept_as(length, lambda: self.kernel(length))
        size = 1 << (2 * length - 2).bit_length()
        spectrum = torch.fft.rfft(x, n=size) * torch.fft.rfft(kernel, n=size)
        y = torch.fft.irfft(spectrum, n=size)[..., :length]
        if h is not None:
            y = y + self.tail(h, length)
        y = torch.addcmul(y, self.omega, x)
        return y.to(kind), self.last(x, h) if wants_state else None


# complex numbers as pairs of real ones, which a compiler can take


def parts(z):
    """(..., N, 2) to a pair of (..., N, 1)."""
    return z.unsqueeze(-2).unbind(-1)


def product(a, b):
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def powers(decay, angle, first, count, step=1):
    """q^(step j) for j = first ... first + count - 1: a pair of (D, N, count)."""
    j = torch.arange(first, first + count, dtype=decay.dtype) * step
    size = torch.exp(decay.unsqueeze(-1) * j)
    turn = angle.unsqueeze(-1) * j
    return size * turn.cos(), size * turn.sin()


def real_sum(left, right):
    """sum_n Re(left[..., n, a] right[..., n, b]): (..., A, c)."""
    left = torch.cat([left[0], -left[1]], -2)
    return left.transpose(-1, -2) @ torch.cat(right, -2)
