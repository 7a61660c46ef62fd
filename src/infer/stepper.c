#include "infer/stepper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "kernel/cpu/rows.h"

bool mega_step_model_unlimited(const struct mega_step_model *m)
{
    for (const struct mega_cell *c = m->store->first_cell; c; c = c->next)
        if (c->kind == MEGA_CELL_LOG && !c->window) return true;
    return false;
}

mega_status mega_model_stepper_init(struct mega_model_stepper *s,
    const struct mega_step_model *model, mega_run *run, int64_t rows, int64_t piece,
    int64_t room)
{
    *s = (struct mega_model_stepper){ .model = model, .run = run, .piece = piece };
    if (!mega_step_model_unlimited(model)) room = 0;
    MEGA_TRY(mega_stream_new(&s->stream, model->store, rows, piece, room));
    s->ids = calloc((size_t)(rows * piece), sizeof *s->ids);
    if (s->ids) return MEGA_OK;
    mega_model_stepper_done(s);
    return mega_fail(MEGA_NO_MEMORY, "no memory for %lld rows of text", (long long)rows);
}

void mega_model_stepper_done(struct mega_model_stepper *s)
{
    mega_stream_free(s->stream);
    free(s->ids);
    if (s->recent) mega_model_stepper_done(s->recent);
    free(s->recent);
    *s = (struct mega_model_stepper){ 0 };
}

/* ---- a pass ---- */

/* Begins a pass over T new places a row and returns their features, NULL after an error (of
 * which mega_run_end tells). `len` is dropped where every row is full: no op then looks for
 * padding. */
static mega_tensor *features(struct mega_model_stepper *s, const int32_t **ids, int64_t T,
    const int32_t *len, struct mega_rows *rows)
{
    int64_t B = mega_stream_rows(s->stream);
    bool full = true;
    for (int64_t b = 0; b < B; b++) full &= len[b] == T;
    *rows = (struct mega_rows){ .B = B, .T = T, .len = full ? NULL : len };
    if (mega_run_begin(s->run, &(struct mega_run_args){ .stream = s->stream })) return NULL;
    const struct mega_rows *here = mega_run_rows(s->run, rows);
    mega_tensor input = mega_tensor_over(s->ids, MEGA_I32, 2, (int64_t[]){ B, T });
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++) /* padding is any id that there is */
            s->ids[b * T + t] = t < len[b] ? ids[b][t] : 0;
    mega_tensor *x = mega_run_input(s->run, &input);
    return s->model->features(s->run, s->model->model, x, here);
}

/* the features at one place of each row, [B, 1, D] */
static mega_tensor *last_places(mega_run *r, const mega_tensor *x, const int32_t *len)
{
    if (!x || x->dim[1] == 1) return (mega_tensor *)(uintptr_t)x;
    int64_t B = x->dim[0], T = x->dim[1], D = mega_width(x);
    mega_tensor *y = mega_run_tensor(r, x->dtype, 3, (int64_t[]){ B, 1, D });
    for (int64_t b = 0; y && b < B; b++)
        memcpy(mega_row(y, b), mega_row(x, b * T + (len[b] ? len[b] - 1 : 0)),
            (size_t)D * mega_dtype_size(x->dtype));
    return y;
}

static mega_tensor *logits_of(struct mega_model_stepper *s, mega_tensor *x)
{
    return s->model->logits && x ? s->model->logits(s->run, s->model->model, x) : x;
}

/* logits as float32: where they lie, or a copy */
static const mega_tensor *as_float(
    struct mega_model_stepper *s, const mega_tensor *x, mega_tensor *copy)
{
    if (!x || x->dtype == MEGA_F32) return x;
    float *room = mega_run_memory(s->run, (size_t)mega_count(x) * sizeof *room);
    if (!room) return NULL;
    *copy = mega_tensor_over(room, MEGA_F32, x->rank, x->dim);
    mega_tensor_copy(copy, x);
    return copy;
}

static mega_status feed(
    void *self, const int32_t **ids, int64_t T, const int32_t *len, const float **logit)
{
    struct mega_model_stepper *s = self;
    struct mega_rows rows;
    mega_tensor *x = features(s, ids, T, len, &rows), copy;
    const mega_tensor *y = NULL;
    if (logit) y = as_float(s, logits_of(s, last_places(s->run, x, len)), &copy);
    MEGA_TRY(mega_run_end(s->run));
    for (int64_t b = 0; b < rows.B; b++) {
        s->fed += len[b];
        if (logit) logit[b] = len[b] ? mega_row(y, b) : NULL;
    }
    return MEGA_OK;
}

static mega_status reorder(void *self, const int32_t *from)
{
    struct mega_model_stepper *s = self;
    return mega_stream_reorder(s->stream, from);
}

struct mega_stepper mega_model_stepper_of(struct mega_model_stepper *s)
{
    int64_t room = s->model->longest, stream = mega_stream_room(s->stream);
    if (stream && (!room || stream < room)) room = stream;
    return (struct mega_stepper){ .self = s,
        .rows = mega_stream_rows(s->stream),
        .vocabulary = s->model->vocabulary,
        .piece = s->piece,
        .room = room,
        .feed = feed,
        .reorder = reorder };
}

/* ---- scoring ---- */

enum { PLACES = 32 }; /* whose logits lie in memory together */

struct scoring {
    struct mega_model_stepper *stepper;
    int64_t from, n; /* places of the piece */
    const int32_t *target;
    double *out;
};

/* Of `target` after a row of logits: its logit less the logarithm of the sum of exponentials.
 * The sum goes in double from the first token to the last. */
static double log_probability(const float *x, int64_t n, int32_t target)
{
    enum { BLOCK = 256 };
    const struct mega_cpu_rows *rows = mega_cpu_rows(mega_isa_here());
    float most = rows->most(x, n), part[BLOCK];
    double sum = 0;
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        rows->exp_sum(part, x + i, most, m);
        for (int64_t j = 0; j < m; j++) sum += (double)part[j];
    }
    return (double)x[target] - (double)most - log(sum);
}

/* a block: its logits are dropped at its end */
static void score_places(
    mega_run *r, const void *self, struct mega_carry *c, const struct mega_rows *rows)
{
    (void)rows;
    const struct scoring *s = self;
    int64_t D = mega_width(c->x);
    mega_tensor *x = mega_run_tensor(r, c->x->dtype, 3, (int64_t[]){ 1, s->n, D }), copy;
    for (int64_t i = 0; x && i < s->n; i++)
        memcpy(
            mega_row(x, i), mega_row(c->x, s->from + i), (size_t)D * mega_dtype_size(x->dtype));
    const mega_tensor *y = as_float(s->stepper, logits_of(s->stepper, x), &copy);
    for (int64_t i = 0; y && i < s->n; i++)
        s->out[s->from + i] =
            log_probability(mega_row(y, i), mega_width(y), s->target[s->from + i]);
}

mega_status mega_model_stepper_score(struct mega_model_stepper *s, const int32_t *ids,
    int64_t n, const int32_t *target, double *out)
{
    struct mega_rows rows;
    int32_t len[1] = { (int32_t)n };
    struct mega_carry carry = { .x = features(s, &ids, n, len, &rows) };
    for (int64_t i = 0; i < n && carry.x; i += PLACES) {
        struct scoring part = { s, i, n - i < PLACES ? n - i : PLACES, target, out };
        struct mega_block block = { .path = "score", .fn = score_places, .self = &part };
        mega_run_block(s->run, &block, &carry, &rows);
    }
    s->fed += n;
    return mega_run_end(s->run);
}
