#include "model/transformer_head.h"

#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "model/transformer_embedding.h"

void mega_transformer_head_build(mega_build *b, struct mega_transformer_head *h,
    const struct mega_transformer_head_options *o, mega_tensor *table, int64_t vocabulary,
    int64_t width, bool bias)
{
    struct mega_init small = { MEGA_INIT_NORMAL, 0, 0.02 }, zero = { MEGA_INIT_CONSTANT, 0, 0 },
                     root = { MEGA_INIT_CONSTANT, sqrt((double)width), 0 };
    int64_t one = 1;
    double factor = o->factor < 0 ? 1 / sqrt((double)width) : o->factor > 0 ? o->factor : 1;
    *h = (struct mega_transformer_head){ .options = *o, .factor = factor };
    h->weight =
        table ? table
              : mega_param_add(b, "lm_head.weight", small, 2, (int64_t[]){ vocabulary, width });
    if (bias) h->bias = mega_param_add(b, "lm_head.bias", zero, 1, &vocabulary);
    if (o->fixed) h->scale = mega_param_add(b, "lm_head.scale", root, 1, &one);
    if (!o->mixture) return;
    size_t entered = mega_build_enter(b, "mos");
    h->mos_proj =
        mega_param_add(b, "proj.weight", small, 2, (int64_t[]){ o->mixture * width, width });
    h->mos_gate = mega_param_add(b, "gate.weight", small, 2, (int64_t[]){ o->mixture, width });
    mega_build_leave(b, entered);
}

static bool is_scaled(const struct mega_transformer_head *h)
{
    return h->factor < 1 || h->factor > 1;
}

bool mega_transformer_head_is_plain(const struct mega_transformer_head *h)
{
    const struct mega_transformer_head_options *o = &h->options;
    return !o->fixed && !o->mixture && !o->sigsoftmax && !(o->logit_clamp > 0) && !is_scaled(h);
}

static mega_tensor *log_sum(mega_run *r, mega_tensor *const *x, int n, bool one)
{
    struct mega_attr_log_sum a;
    memset(&a, 0, sizeof a);
    a.one = one;
    struct mega_call c = { .op = &mega_op_log_sum, .attr = &a };
    for (int i = 0; i < n; i++) c.in[i] = x[i];
    return mega_run_call(r, &c, NULL);
}

/* go h/|h| . w/|w|, each factor where it is cheap */
static mega_tensor *cosines(mega_run *r, const struct mega_transformer_head *h, mega_tensor *x)
{
    struct mega_attr_squash a;
    memset(&a, 0, sizeof a);
    a.kind = MEGA_SQUASH_LINEAR;
    a.factor = a.inside = 1;
    mega_tensor *unit = mega_run_call(r,
        &(struct mega_call){
            .op = &mega_op_squash, .in = { mega_unit_rows(r, x), h->scale }, .attr = &a },
        NULL);
    return linear(r, unit, mega_unit_rows(r, h->weight), h->bias, MEGA_ACT_LINEAR);
}

/* logits of one softmax */
static mega_tensor *logits(mega_run *r, const struct mega_transformer_head *h, mega_tensor *x)
{
    const struct mega_transformer_head_options *o = &h->options;
    mega_tensor *s =
        o->fixed ? cosines(r, h, x) : linear(r, x, h->weight, h->bias, MEGA_ACT_LINEAR);
    if (o->logit_clamp > 0) s = soft_clamp(r, s, o->logit_clamp);
    if (!o->sigsoftmax) return s;
    /* s + log sigmoid(s) = 2 s - log(1 + exp s) */
    return add(r, scale(r, s, NULL, 2), scale(r, log_sum(r, &s, 1, true), NULL, -1));
}

mega_tensor *mega_transformer_head_run(
    mega_run *r, const struct mega_transformer_head *h, mega_tensor *x)
{
    int64_t k = h->options.mixture, D = x ? mega_width(x) : 0;
    if (is_scaled(h)) x = scale(r, x, NULL, h->factor);
    if (!k) return logits(r, h, x);
    mega_tensor *part[MEGA_LOG_SUM_MOST],
        *states = linear(r, x, h->mos_proj, NULL, MEGA_ACT_LINEAR),
        *share = log_softmax(r, linear(r, x, h->mos_gate, NULL, MEGA_ACT_LINEAR), NULL);
    for (int64_t i = 0; i < k; i++)
        part[i] =
            log_softmax(r, logits(r, h, columns(r, states, i * D, D)), columns(r, share, i, 1));
    return log_sum(r, part, (int)k, false);
}

mega_tensor *mega_transformer_head_loss(mega_run *r, const struct mega_transformer_head *h,
    mega_tensor *x, mega_tensor *next, mega_tensor *weight, double smoothing,
    mega_tensor **each)
{
    if (mega_transformer_head_is_plain(h))
        return output_loss_weighted(r, x, h->weight, h->bias, next, weight, smoothing, each);
    return cross_entropy_weighted(
        r, mega_transformer_head_run(r, h, x), next, weight, smoothing, each);
}
