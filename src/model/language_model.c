#include "model/language_model.h"

#include "graph/ops.h"
#include "layer/left_padding.h"

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
    return m->decoder->features(r, m->self, ids, mega_rows_past_padding(r, rows));
}

mega_tensor *mega_language_model_logits(
    mega_run *r, const struct mega_language_model *m, mega_tensor *x)
{
    if (m->output.adaptive) return mega_adaptive_softmax_log_probs(r, m->output.adaptive, x);
    if (m->output.logits) return m->output.logits(r, m->output.self, x);
    return linear(r, x, m->output.weight, m->output.bias, MEGA_ACT_LINEAR);
}

mega_tensor *mega_language_model_loss(mega_run *r, const struct mega_language_model *m,
    mega_tensor *x, mega_tensor *next, const struct mega_rows *rows, double smoothing,
    mega_tensor **each)
{
    if (m->output.adaptive && smoothing > 0 && !mega_run_status(r))
        mega_run_fail(r,
            mega_fail(MEGA_UNSUPPORTED, "label smoothing of an adaptive softmax, which has no "
                                        "distribution over all words in training: expected 0"));
    if (m->output.loss && (mega_run_mode(r) & MEGA_RUN_TRAIN))
        return m->output.loss(r, m->output.self, x, next, smoothing, each);
    if (m->output.adaptive)
        return mega_adaptive_softmax_loss(r, m->output.adaptive, x, next, rows, each);
    if (m->output.logits)
        return cross_entropy_rows(
            r, m->output.logits(r, m->output.self, x), next, smoothing, each);
    return output_loss(r, x, m->output.weight, m->output.bias, next, smoothing, each);
}
