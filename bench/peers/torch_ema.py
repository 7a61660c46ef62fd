"""Mega's damped moving average of every channel, in one or two directions, in two forms.

    h[n, t] = q[n] h[n, t-1] + p[n] beta[n] x[t]      p = sigmoid(delta)
    y[t] = sqrt(1/N) sum_n gamma[n] h[n, t]           q = 1 - p sigmoid(alpha)

The future's average is the same on the reversed row, with parameters of its own; both are
added. Shapes: L steps, B rows, D width, N states; c steps a block, K blocks.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from torch_encoder import zeroed


class Ema(nn.Module):
    """What both forms share: parameters, padding, the residual weight omega, the activation."""

    def __init__(self, c):
        super().__init__()
        rows = c.width * (2 if c.two_way else 1)
        self.delta = nn.Parameter(torch.randn(rows, c.ema, 1) * 0.2)
        self.alpha = nn.Parameter(torch.randn(rows, c.ema, 1) * 0.2)
        signs = torch.tensor([1.0, -1.0]).repeat(c.ema)[: c.ema, None]
        self.beta = nn.Parameter(torch.randn(rows, c.ema, 1) * 0.02 + signs)
        self.gamma = nn.Parameter(torch.randn(rows, c.ema))
        self.omega = nn.Parameter(torch.randn(c.width))
        self.two_way, self.truncation = c.two_way, c.truncation
        self.scale = math.sqrt(1.0 / c.ema)
        self.kept = None

    def rates(self):
        """ln q (rows, N, 1), and what a state gives to y for one unit of x (rows, N)."""
        p = torch.sigmoid(self.delta)
        log_q = torch.log1p(-p * torch.sigmoid(self.alpha))
        return log_q, (p * self.beta).squeeze(-1) * self.gamma * self.scale

    def coefficients(self, length):
        """What `average` needs of the weights, for one length."""
        # fixed weights give fixed coefficients: keep them until the next training step
        if not self.training and self.kept is not None and self.kept[0] == length:
            return self.kept[1]
        made = self.make_coefficients(length)
        self.kept = None if self.training else (length, made)
        return made

    def forward(self, x, padding):
        # in float32 under autocast, too, as the official code
        with torch.autocast(x.device.type, enabled=False):
            clean = zeroed(x, padding).float()
            y = self.average(clean, self.coefficients(x.shape[0]))
            return F.silu(y + x * self.omega).to(x.dtype)


class ComplexEma(Ema):
    """As a convolution by FFT, as the official code does it: kernel[t] = sum_n weight q^t."""

    def make_coefficients(self, length):
        taps = min(length, self.truncation or length)
        log_q, weights = self.rates()
        powers = torch.exp(log_q * torch.arange(taps, dtype=log_q.dtype))
        return torch.bmm(weights.unsqueeze(1), powers).squeeze(1)

    def average(self, x, kernel):
        length, taps = x.shape[0], kernel.shape[1]
        # a cyclic convolution of this length leaves room for both directions
        size = 1 << (length + taps - 2).bit_length()
        if self.two_way:
            past, future = kernel.chunk(2)
            gap = kernel.new_zeros(past.shape[0], size - 2 * taps + 1)
            first = past[:, :1] + future[:, :1]
            kernel = torch.cat([first, past[:, 1:], gap, future[:, 1:].flip(1)], 1)
        spectrum = torch.fft.rfft(x.permute(1, 2, 0), n=size)
        spectrum = spectrum * torch.fft.rfft(kernel, n=size)
        return torch.fft.irfft(spectrum, n=size)[..., :length].permute(2, 0, 1)


class RealEma(Ema):
    """In real numbers only, which a compiler can take: products a channel over blocks of c steps.

    Inside a block y = T x with a Toeplitz matrix (c, c) of both directions. What a block sees
    of the others passes through the states at its borders: a sum over the block gives what it
    adds to them, doubling over the K blocks their values, one more product their part of y.
    """

    def block(self, length):
        """Steps a block: about the root of the length; beyond 128 the products grow too large."""
        return min(128, max(16, 1 << (length.bit_length() // 2)))

    def make_coefficients(self, length):
        if self.truncation:
            raise ValueError("the real form has no truncation")
        c = self.block(length)
        log_q, weights = self.rates()
        powers = torch.exp(log_q * torch.arange(c + 1, dtype=log_q.dtype))
        taps = torch.bmm(weights.unsqueeze(1), powers[..., :c]).squeeze(1)
        gather, spread = powers[..., :c].flip(2), weights.unsqueeze(2) * powers[..., 1:]
        decay = powers[..., c]
        if not self.two_way:
            lags = torch.cat([taps.flip(1), taps.new_zeros(taps.shape[0], c - 1)], 1)
            return toeplitz(lags, c), gather, spread, decay

        (past, future), d = taps.chunk(2), taps.shape[0] // 2
        first = past[:, :1] + future[:, :1]
        lags = torch.cat([past[:, 1:].flip(1), first, future[:, 1:]], 1)
        # the future's average runs backwards
        gather = torch.cat([gather[:d], gather[d:].flip(2)], 1)
        spread = torch.cat([spread[:d], spread[d:].flip(2)], 1)
        return toeplitz(lags, c), gather, spread, torch.cat(decay.chunk(2), 1)

    def average(self, x, coefficients):
        inside, gather, spread, decay = coefficients
        (length, batch, width), c = x.shape, inside.shape[1]
        blocks = -(-length // c)
        x = F.pad(x, (0, 0, 0, 0, 0, blocks * c - length))
        x = x.view(blocks, c, batch, width).permute(3, 1, 0, 2).reshape(width, c, -1)

        states = torch.bmm(gather, x).unflatten(2, (blocks, batch))
        half = states.shape[1] // 2 if self.two_way else states.shape[1]
        before = carried(states[:, :half], decay[:, :half])
        if self.two_way:
            after = carried(states[:, half:].flip(2), decay[:, half:]).flip(2)
            before = torch.cat([before, after], 1)
        y = torch.bmm(inside, x) + torch.bmm(spread.transpose(1, 2), before.flatten(2))
        y = y.view(width, c, blocks, batch).permute(2, 1, 3, 0)
        return y.reshape(blocks * c, batch, width)[:length]


def toeplitz(lags, size):
    """matrix[i, j] = lags[size - 1 + j - i], one a channel."""
    return lags.unfold(1, size, 1).flip(1)


def carried(added, decay):
    """States before each block: h[k] = decay h[k-1] + added[k-1], in log2 K rounds.

    added (D, N, K, B), decay (D, N)
    """
    h, step = F.pad(added[:, :, :-1], (0, 0, 1, 0)), 1
    decay = decay[..., None, None]
    while step < h.shape[2]:
        h = h + decay * F.pad(h[:, :, :-step], (0, 0, step, 0))
        decay, step = decay * decay, 2 * step
    return h


FORMS = {"complex": ComplexEma, "real": RealEma}
