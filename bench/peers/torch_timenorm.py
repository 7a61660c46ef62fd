"""The norm over time of Megalodon: each step by mean and variance of all steps so far.

Shapes: B rows, L steps, D width, G groups of channels.
"""

import torch
from torch import nn


class TimestepNorm(nn.Module):
    """Statistics a group of channels; gain stored minus one.

    With n steps seen, u their mean and v their variance, a step of mean m and variance s gives
    n + 1, u + (m - u) / (n + 1), and (n v + s + (m - u) (m - u')) / (n + 1), u' the new mean:
    sums, which cumsum makes for all steps at once.
    """

    def __init__(self, width, groups=None, prior_count=0, eps=1e-5):
        super().__init__()
        self.groups, self.eps = groups or width, eps
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("prior_count", torch.tensor(prior_count))
        for name in ("prior_mean", "prior_logv"):
            zeros = torch.zeros(self.groups)
            if prior_count > 0:
                self.register_parameter(name, nn.Parameter(zeros))
            else:
                self.register_buffer(name, zeros)

    def fresh(self, rows):
        """Counts (B), means and variances (B, G) before the first step."""
        mean, logv = (x.expand(rows, -1) for x in (self.prior_mean, self.prior_logv))
        return self.prior_count.expand(rows), mean, logv.exp()

    def statistics(self, x, before, padding):
        """Counts (B, L), means and variances (B, L, G) after each step of x (B, L, G, D/G)."""
        count, u0, v0 = (t.unsqueeze(1) for t in before)
        s, m = torch.var_mean(x, -1, correction=0)
        if padding is None:
            n = count + torch.arange(1, x.shape[1] + 1)
        else:
            valid = (~padding).long()
            n = count + valid.cumsum(1)
        total, old = n.clamp(min=1).unsqueeze(-1).to(x.dtype), count.unsqueeze(-1).to(x.dtype)

        if x.shape[1] == 1 and padding is None:
            u = torch.lerp(u0, m, 1 / total)
            return n, u, (old * v0 + s + (m - u0) * (m - u)) / total
        known = 1 if padding is None else valid.unsqueeze(-1)
        u = (old * u0 + (m * known).cumsum(1)) / total
        earlier = torch.cat([u0, u[:, :-1]], 1)
        added = (s + (m - earlier) * (m - u)) * known
        return n, u, (old * v0 + added.cumsum(1)) / total

    def forward(self, x, before=None, padding=None):
        """x (B, L, D) normalised, and the statistics after it, from those before it."""
        groups = x.unflatten(-1, (self.groups, -1))
        before = before or self.fresh(len(x))
        n, u, v = self.statistics(groups, before, padding)
        r = torch.rsqrt(v + self.eps)
        t = ((groups - u.unsqueeze(-1)) * r.unsqueeze(-1)).flatten(2)
        y = torch.addcmul(self.bias, t, self.weight + 1)
        if padding is not None:
            y = y.masked_fill(padding.unsqueeze(-1), 0.0)
        return y, (n[:, -1], u[:, -1], v[:, -1])
