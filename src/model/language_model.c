#include "model/language_model.h"

#include <math.h>

#include "graph/ops.h"

void mega_language_model_build(
    mega_build *b, struct mega_language_model *m, const struct mega_language_model_config *c)
{
    *m = (struct mega_language_model){ .decoder = mega_decoders[c->decoder],
        .vocabulary = c->vocabulary };
    if (!b->status && c->vocabulary.size < 1)
        b->status = mega_fail(MEGA_BAD_ARGUMENT, "a vocabulary of %lld, expected at least 1",
            (long long)c->vocabulary.size);
    if (b->status) return;
    m->shape = m->decoder->shape(c->options);
    m->self = m->decoder->build(b, c->options, &m->vocabulary);
    if (m->self) m->output = m->decoder->output(m->self);
}

mega_tensor *mega_language_model_features(mega_run *r, const struct mega_language_model *m,
    mega_tensor *ids, const struct mega_rows *rows)
{
    return m->decoder->features(r, m->self, ids, rows);
}

mega_tensor *mega_language_model_logits(
    mega_run *r, const struct mega_language_model *m, mega_tensor *x)
{
    return linear(r, x, m->output.weight, m->output.bias, MEGA_ACT_LINEAR);
}

/* -log p(next) of a row of logits */
static double term(const mega_tensor *logits, int64_t row, int64_t next)
{
    double most = -INFINITY, sum = 0;
    int64_t V = mega_width(logits);
    for (int64_t v = 0; v < V; v++) most = fmax(most, mega_get(logits, row, v));
    for (int64_t v = 0; v < V; v++) sum += exp(mega_get(logits, row, v) - most);
    return most + log(sum) - mega_get(logits, row, next);
}

mega_tensor *mega_language_model_loss(mega_run *r, const struct mega_language_model *m,
    mega_tensor *x, mega_tensor *next, double smoothing, mega_tensor **each)
{
    if (smoothing > 0 && !mega_run_status(r))
        mega_run_fail(r, mega_fail(MEGA_UNSUPPORTED, "label smoothing is not there yet"));
    mega_tensor *logits = mega_language_model_logits(r, m, x);
    int64_t n = mega_dim(next, 0);
    if (each) *each = mega_run_tensor(r, MEGA_F32, 1, &n);
    for (int64_t i = 0; each && *each && logits && i < n; i++) {
        int64_t id = (int64_t)mega_get(next, 0, i);
        mega_put(*each, 0, i, id < 0 ? 0 : term(logits, i, id));
    }
    return cross_entropy(r, logits, next);
}
