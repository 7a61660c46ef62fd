#include "train/memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "data/prefetch.h"
#include "graph/ops.h"
#include "graph/precision.h"
#include "kernel/widen.h"
#include "op/heads.h"
#include "task/feed.h"

enum { TRAIN, VALID };
enum { GROUPS = 16, GROUP_ROWS = 256 }; /* partial sums that kernels keep of a gradient */
/* a thread's stack, blocks of rows and packed operands */
static const size_t each_thread = 1 << 20;
/* what no step has used yet: code, buffers of the libraries */
static const size_t not_yet = 2 << 20;

/* ---- scratch ---- */

static size_t parameter_bytes(const struct mega_call *c)
{
    size_t bytes = 0;
    for (int i = 0; i < c->op->n_in; i++)
        if (c->in[i] && c->in[i]->param) bytes += mega_size(c->in[i]);
    return bytes;
}

/* float32 beside what is bfloat16: inputs, output, what is kept, and their gradients */
static size_t widened_bytes(const struct mega_call *c)
{
    size_t bytes = 0;
    if (!mega_is_widened(c->kernel)) return 0;
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype == MEGA_BF16)
            bytes += (c->in[i]->wants_grad ? 4 : 2) * mega_size(c->in[i]);
    for (int i = 0; i < MEGA_OUT; i++)
        if (c->out[i] && c->out[i]->dtype == MEGA_BF16) bytes += 4 * mega_size(c->out[i]);
    for (int i = 0; i < MEGA_SAVED; i++)
        if (c->saved[i] && c->saved[i]->dtype == MEGA_BF16) bytes += 2 * mega_size(c->saved[i]);
    return bytes;
}

/* attention by strips: keys' and values' gradients of its lanes, arrays of a few queries'
 * scores of each thread */
static size_t strip_bytes(const struct mega_call *c)
{
    enum { ARRAYS = 10, SCORES = 1 << 18, FEW = 8 };
    const struct mega_attr_attention *a = c->attr;
    if (a->exec != MEGA_ATTENTION_STRIP && !mega_attention_needs_strips(c)) return 0;
    int64_t scores = FEW * mega_heads_of(c).H * mega_attention_columns(c);
    size_t each = sizeof(float) * (size_t)(scores > SCORES ? scores : SCORES),
           threads = c->work ? (size_t)c->work->threads : 1;
    size_t keys = mega_size(c->in[MEGA_ATTENTION_K]) + mega_size(c->in[MEGA_ATTENTION_V]);
    return threads * ARRAYS * each + GROUPS * keys / (size_t)(c->rows->B ? c->rows->B : 1);
}

/* partial sums of one op's gradients */
static size_t partial_sums(const struct mega_call *c)
{
    int64_t groups = mega_height(c->in[0]) / GROUP_ROWS;
    if (groups > GROUPS) groups = GROUPS;
    if (c->op == &mega_op_ema) groups = c->rows->B + 1;
    size_t bytes = (size_t)(groups + 1) * parameter_bytes(c);
    const struct mega_attr_attention *a = c->attr;
    /* a whole row in one window: its queries' gradients, too */
    if (c->op == &mega_op_attention && (a->chunk < 0 || a->chunk >= c->rows->T))
        bytes += GROUPS * mega_size(c->in[0]) / (size_t)(c->rows->B ? c->rows->B : 1);
    if (c->op == &mega_op_attention) bytes += strip_bytes(c);
    return bytes;
}

static void note_scratch(void *arg, const struct mega_call *c)
{
    size_t bytes = partial_sums(c) + widened_bytes(c), *most = arg;
    if (bytes > *most) *most = bytes;
}

/* ---- dry passes ---- */

struct prediction {
    mega_context *context;
    mega_model *model;
    struct mega_memory *m;
    mega_dtype dtype; /* of activations */
    int32_t *len[2];  /* full rows */
};

/* the largest pass of a kind; `scratch`, if not NULL, receives what its kernels need */
static void dry_pass(const struct prediction *p, mega_run *r, int which, size_t *scratch)
{
    unsigned mode = which == TRAIN ? MEGA_RUN_TRAIN | MEGA_RUN_GRAD : 0;
    struct mega_batch b;
    mega_batch_dry(&b, p->model->config.architecture, p->m->rows[which], p->m->places[which],
        p->len[which]);
    if (mega_run_begin(r, &(struct mega_run_args){ .mode = mode | MEGA_RUN_DRY })) return;
    mega_tensor *total = mega_batch_loss(r, p->model, &b);
    if (scratch) mega_run_walk(r, note_scratch, scratch);
    if (scratch && mega_run_scratch(r) > *scratch) *scratch = mega_run_scratch(r);
    if (which == VALID) return;
    mega_run_seed(r, total, 1);
    mega_run_seed_more(r, 1);
    mega_run_backward(r);
}

/* bytes of values and gradients after passes of the kinds from `first` to `last` */
static mega_status measure(
    const struct prediction *p, int first, int last, size_t *bytes, size_t *scratch)
{
    mega_run *r;
    MEGA_TRY(mega_run_new(&r, p->context));
    mega_run_set_dtype(r, p->dtype);
    mega_status status = MEGA_OK;
    for (int which = first; which <= last && !status; which++) {
        dry_pass(p, r, which, scratch);
        status = mega_run_end(r);
    }
    *bytes = mega_run_peak(r);
    mega_run_free(r);
    return status;
}

/* ---- all of it ---- */

static mega_status find_largest(
    struct mega_memory *m, struct mega_job *task, const struct mega_recipe *r)
{
    struct mega_feed_batching batching = { (uint64_t)r->seed, r->train.batch, r->train.tokens,
        r->train.accumulate, r->train.bucket, false };
    MEGA_TRY(mega_feed_largest(task, &batching, &m->rows[TRAIN], &m->places[TRAIN]));
    return mega_feed_largest_of(
        task, MEGA_SPLIT_VALID, r->train.valid_batch, &m->rows[VALID], &m->places[VALID]);
}

static mega_status full_rows(struct prediction *p)
{
    for (int which = TRAIN; which <= VALID; which++) {
        int64_t B = p->m->rows[which];
        p->len[which] = malloc((size_t)(B + 1) * sizeof *p->len[which]);
        if (!p->len[which])
            return mega_fail(MEGA_NO_MEMORY, "no memory for %lld rows", (long long)B);
        for (int64_t b = 0; b < B; b++) p->len[which][b] = (int32_t)p->m->places[which];
    }
    return MEGA_OK;
}

/* what does not depend on the blocks that recompute; with none of them all ops are on the tape
 */
static mega_status predict_fixed(struct prediction *p)
{
    struct mega_memory *m = p->m;
    struct mega_stack *s = mega_model_stack(p->model);
    size_t scratch = 0, bytes;
    int64_t effort = mega_stack_effort(s);
    m->weights = (size_t)p->model->store.count * 4 * sizeof(float);
    m->process = mega_memory_resident() - p->model->store.keep.used + not_yet;
    mega_stack_set_effort(s, 0);
    MEGA_TRY(measure(p, TRAIN, TRAIN, &bytes, &scratch));
    MEGA_TRY(measure(p, VALID, VALID, &m->pass[VALID], NULL));
    mega_stack_set_effort(s, effort);
    size_t waiting =
        MEGA_PREFETCH_SLOTS * sizeof(int32_t) * (size_t)(m->rows[TRAIN] * m->places[TRAIN]);
    m->scratch = scratch + waiting + (size_t)p->context->work.threads * each_thread;
    return MEGA_OK;
}

/* what does */
static mega_status predict_passes(struct prediction *p)
{
    struct mega_memory *m = p->m;
    size_t both;
    m->effort = mega_stack_effort(mega_model_stack(p->model));
    MEGA_TRY(measure(p, TRAIN, TRAIN, &m->pass[TRAIN], NULL));
    MEGA_TRY(measure(p, TRAIN, VALID, &both, NULL));
    m->total = m->process + m->weights + both + m->scratch;
    return MEGA_OK;
}

static mega_status begin(
    struct prediction *p, struct mega_job *task, const struct mega_recipe *r)
{
    MEGA_TRY(find_largest(p->m, task, r));
    MEGA_TRY(full_rows(p));
    return predict_fixed(p);
}

static void end(struct prediction *p)
{
    free(p->len[TRAIN]);
    free(p->len[VALID]);
}

mega_status mega_memory_predict(struct mega_memory *out, mega_context *c, mega_model *m,
    struct mega_job *task, const struct mega_recipe *r)
{
    *out = (struct mega_memory){ 0 };
    mega_dtype dtype = mega_precision_type(r->train.precision);
    struct prediction p = { .context = c, .model = m, .m = out, .dtype = dtype };
    mega_status status = begin(&p, task, r);
    if (!status) status = predict_passes(&p);
    end(&p);
    return status;
}

/* ---- choosing ---- */

static size_t budget_of(const struct mega_recipe *r, const struct mega_memory *m)
{
    if (r->train.memory) return (size_t)r->train.memory << 20;
    /* what this process holds is no longer free */
    return mega_memory_free() + m->process;
}

static mega_status refuse(
    const struct mega_memory *m, const struct mega_recipe *r, size_t budget)
{
    return mega_fail(MEGA_NO_MEMORY,
        "%s %zu MiB, but with every block recomputed a pass of %lld texts of %lld places still "
        "needs %zu MiB in all: lower train.batch (and raise train.accumulate) or "
        "train.valid_batch",
        r->train.memory ? "train.memory allows" : "this machine has", budget >> 20,
        (long long)m->rows[TRAIN], (long long)m->places[TRAIN], m->total >> 20);
}

static mega_status least_effort(struct prediction *p, const struct mega_recipe *r)
{
    struct mega_stack *s = mega_model_stack(p->model);
    int64_t low = 0, high = 1 + s->blocks;
    size_t budget = budget_of(r, p->m);
    while (low < high) {
        int64_t middle = (low + high) / 2;
        mega_stack_set_effort(s, middle);
        MEGA_TRY(predict_passes(p));
        if (p->m->total <= budget)
            high = middle;
        else
            low = middle + 1;
    }
    mega_stack_set_effort(s, low);
    MEGA_TRY(predict_passes(p));
    return p->m->total <= budget ? MEGA_OK : refuse(p->m, r, budget);
}

mega_status mega_memory_choose(struct mega_memory *out, mega_context *c, mega_model *m,
    struct mega_job *task, const struct mega_recipe *r)
{
    *out = (struct mega_memory){ 0 };
    mega_dtype dtype = mega_precision_type(r->train.precision);
    struct prediction p = { .context = c, .model = m, .m = out, .dtype = dtype };
    mega_status status = begin(&p, task, r);
    if (!status) status = least_effort(&p, r);
    end(&p);
    return status;
}

void mega_memory_print_effort(const struct mega_memory *m, int64_t layers, char out[80])
{
    if (m->effort < 2)
        snprintf(out, 80, "%s recomputed", m->effort ? "cheap ops are" : "nothing is");
    else
        snprintf(out, 80, "%lld of %lld blocks are recomputed%s", (long long)m->effort - 1,
            (long long)layers, m->effort > layers ? "" : ", and cheap ops in the others");
}
