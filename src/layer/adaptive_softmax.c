#include "layer/adaptive_softmax.h"

#include <string.h>

#include "graph/ops.h"

/* ---- declaration ---- */

static mega_status check_tied(
    const struct mega_adaptive_softmax *f, const struct mega_adaptive_input *tied)
{
    if (f->bands.n != tied->bands.n ||
        memcmp(f->bands.end, tied->bands.end, sizeof f->bands.end) != 0 ||
        f->bands.factor != tied->bands.factor)
        return mega_fail(MEGA_BAD_ARGUMENT, "adaptive softmax is tied to adaptive input, but "
                                            "their cutoffs or factors differ");
    if (tied->options.input_width != f->options.width)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "adaptive softmax is tied to tables of width %lld, expected %lld",
            (long long)tied->options.input_width, (long long)f->options.width);
    return MEGA_OK;
}

static const struct mega_init xavier = { MEGA_INIT_XAVIER, 0, 0 };

static void build_head(mega_build *b, struct mega_adaptive_softmax *f)
{
    const struct mega_adaptive_input *tied = f->options.tied;
    int64_t tails = f->bands.n - 1, D = f->options.width;
    if (tied) f->head = tied->table[0];
    if (tied && tails)
        f->slots =
            mega_param_add(b, "head.class_proj.weight", xavier, 2, (int64_t[]){ tails, D });
    if (!tied)
        f->head = mega_param_add(
            b, "head.weight", xavier, 2, (int64_t[]){ f->bands.end[0] + tails, D });
}

static void build_tail(mega_build *b, struct mega_adaptive_softmax *f, int64_t i)
{
    static const char *const sites[MEGA_BANDS] = { "tail.0", "tail.1", "tail.2", "tail.3",
        "tail.4", "tail.5", "tail.6" };
    const struct mega_adaptive_input *tied = f->options.tied;
    int64_t D = f->options.width, d = mega_bands_width(&f->bands, D, i + 1);
    if (d < 1 && !b->status)
        b->status = mega_fail(MEGA_BAD_ARGUMENT,
            "tail %lld has width %lld / %g^%lld, less than 1: expected fewer cutoffs or a "
            "smaller factor",
            (long long)i, (long long)D, f->bands.factor, (long long)i + 1);
    size_t entered = mega_build_enter(b, "tail.%lld", (long long)i);
    f->down[i] = tied && f->options.tied_projections
                     ? tied->projection[i + 1]
                     : mega_param_add(b, "0.weight", xavier, 2, (int64_t[]){ d, D });
    f->up[i] = tied ? tied->table[i + 1]
                    : mega_param_add(b, "2.weight", xavier, 2,
                          (int64_t[]){ mega_bands_size(&f->bands, i + 1), d });
    f->drop_tail[i] =
        (struct mega_dropout){ sites[i], f->options.dropout, MEGA_DROPOUT_ELEMENTS };
    mega_build_leave(b, entered);
}

void mega_adaptive_softmax_build(mega_build *b, struct mega_adaptive_softmax *f,
    const struct mega_adaptive_softmax_options *o)
{
    *f = (struct mega_adaptive_softmax){ .options = *o };
    mega_bands_build(b, &f->bands, &o->bands);
    if (!b->status && o->tied) b->status = check_tied(f, o->tied);
    f->drop = (struct mega_dropout){ "adaptive_softmax", o->dropout, MEGA_DROPOUT_ELEMENTS };
    if (!b->status) build_head(b, f);
    for (int64_t i = 0; i + 1 < f->bands.n && !b->status; i++) build_tail(b, f, i);
}

/* ---- running ---- */

/* A_i x [.., d] */
static mega_tensor *narrow(
    mega_run *r, const struct mega_adaptive_softmax *f, int64_t i, mega_tensor *x)
{
    bool turned = f->options.tied && f->options.tied_projections;
    mega_tensor *down = turned ? transpose(r, f->down[i]) : f->down[i];
    return linear(r, x, down, NULL, MEGA_ACT_LINEAR);
}

/* `sum` and, where asked for, *each grow by those of a head or tail */
static mega_tensor *add_loss(mega_run *r, mega_tensor *x, mega_tensor *w, mega_tensor *more,
    mega_tensor *target, mega_tensor *sum, mega_tensor **each)
{
    struct mega_attr_output_loss a;
    memset(&a, 0, sizeof a);
    a.rows = each != NULL;
    struct mega_call c = { .op = &mega_op_output_loss, .attr = &a };
    c.in[MEGA_OUTPUT_LOSS_X] = x;
    c.in[MEGA_OUTPUT_LOSS_W] = w;
    c.in[MEGA_OUTPUT_LOSS_TARGET] = target;
    c.in[MEGA_OUTPUT_LOSS_MORE] = more;
    mega_tensor *loss = mega_run_call(r, &c, NULL);
    if (each) *each = *each ? add(r, *each, c.out[1]) : c.out[1];
    return sum ? add(r, sum, loss) : loss;
}

mega_tensor *mega_adaptive_softmax_loss(mega_run *r, const struct mega_adaptive_softmax *f,
    mega_tensor *x, mega_tensor *next, const struct mega_rows *rows, mega_tensor **each)
{
    const struct mega_bands *bands = &f->bands;
    int64_t left_out = f->options.skip_pad_number ? f->options.pad : -1;
    if (each) *each = NULL;
    x = mega_dropout_run(r, &f->drop, x, rows);
    mega_tensor *target = mega_bands_run(r, bands, next, MEGA_BAND_HEAD, -1);
    mega_tensor *sum = add_loss(r, x, f->head, f->slots, target, NULL, each);
    for (int64_t i = 0; i + 1 < bands->n; i++) {
        mega_tensor *t = mega_dropout_run(r, &f->drop_tail[i], narrow(r, f, i, x), rows);
        target = mega_bands_run(r, bands, next, i + 1, left_out);
        sum = add_loss(r, t, f->up[i], NULL, target, sum, each);
    }
    return sum;
}

mega_tensor *mega_adaptive_softmax_log_probs(
    mega_run *r, const struct mega_adaptive_softmax *f, mega_tensor *x)
{
    int64_t words = f->bands.end[0];
    mega_tensor *head = linear(r, x, f->head, NULL, MEGA_ACT_LINEAR);
    if (f->slots) head = concat(r, head, linear(r, x, f->slots, NULL, MEGA_ACT_LINEAR));
    head = log_softmax(r, head, NULL); /* [.., c_0 + tails] */
    if (f->bands.n == 1) return head;
    mega_tensor *all = columns(r, head, 0, words);
    for (int64_t i = 0; i + 1 < f->bands.n; i++) {
        mega_tensor *t = linear(r, narrow(r, f, i, x), f->up[i], NULL, MEGA_ACT_LINEAR);
        all = concat(r, all, log_softmax(r, t, columns(r, head, words + i, 1)));
    }
    return all;
}
