"""Language modelling, as torch_measure.py measures it: what its peers share."""

import torch
import torch.nn.functional as F

from torch_measure import autocast


class LanguageModelling:
    """Rows of random tokens, each place's target the next token; or one token after another.

    Generation reads `length` random tokens outside the clock; then each step makes `tokens` more,
    the likeliest ones, and the next step goes on from there.
    """

    def __init__(self, model, o):
        if o.compiled and o.mode == "generate":
            raise ValueError(
                "compiled: with every token another part of the state is seen, for which torch.compile "
                "compiles anew; measure tokens one by one without it"
            )
        self.o, self.model = o, model
        self.run = torch.compile(model) if o.compiled else model
        self.tokens = o.batch * (o.tokens if o.mode == "generate" else o.length)
        self.state = self.last = None

    def batch(self):
        o = self.o
        if o.mode == "generate":
            if self.state is None:
                self.read_context()
            return ()
        tokens = torch.randint(1, o.vocab, (o.batch, o.length + 1))
        return tokens[:, :-1], tokens[:, 1:]

    def loss(self, tokens, target):
        with autocast(self.o):
            logits = self.run(tokens)
        return F.cross_entropy(logits.float().flatten(0, 1), target.flatten())

    @torch.inference_mode()
    def read_context(self):
        o = self.o
        places = o.length + (o.warmup + o.steps) * o.tokens
        self.state = self.model.state(o.batch, places)
        context = torch.randint(1, o.vocab, (o.batch, o.length))
        with autocast(o):
            self.last = self.model.read(context, self.state).argmax(-1, keepdim=True)

    def generate(self):
        """Makes the tokens of a step; returns the last one of the first row instead of a loss."""
        for _ in range(self.o.tokens):
            with autocast(self.o):
                logits = self.run(self.last, self.state)
            self.last = logits[:, -1].argmax(-1, keepdim=True)
        return float(self.last[0])
