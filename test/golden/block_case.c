#include "golden/block_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool golden_block_open(struct golden_case *c, struct golden_block *b)
{
    *b = (struct golden_block){ .c = c, .time_first = true };
    if (!golden_check(c, mega_store_init(&b->store))) return false;
    b->build.store = &b->store;
    b->opened = true;
    return golden_check(c, mega_run_new(&b->run, c->context));
}

void golden_block_close(struct golden_block *b)
{
    mega_run_free(b->run);
    if (b->opened) mega_store_done(&b->store);
}

/* 1 = padding in the file, 1 = real here */
static const int32_t *real_places(struct golden_block *b)
{
    mega_tensor *mask = golden_input(b->c, b->run, "padding_mask", false);
    int32_t *real = mask ? mask->data : NULL;
    for (int64_t i = 0; mask && i < mega_count(mask); i++) real[i] = !real[i];
    return real;
}

bool golden_block_begin(struct golden_block *b, const char *input)
{
    struct golden_case *c = b->c;
    golden_cfg_int(c, "seq_len", 0);
    golden_cfg_int(c, "batch", 0);
    bool training = golden_cfg_bool(c, "training", true);
    if (c->status || !golden_ready(c, &b->build, "")) return false;
    mega_run_begin(b->run,
        &(struct mega_run_args){ .mode = MEGA_RUN_GRAD | (training ? MEGA_RUN_TRAIN : 0) });
    if (!input) return true;
    b->x = golden_input(c, b->run, input, b->time_first);
    if (!b->x) {
        golden_fail(c, "in.%s is missing", input);
        return false;
    }
    b->x->wants_grad = true;
    b->held =
        (struct mega_rows){ .B = b->x->dim[0], .T = mega_dim(b->x, 1), .real = real_places(b) };
    b->rows = mega_run_rows(b->run, &b->held);
    return true;
}

static void compare_running(struct golden_block *b, const char *norm)
{
    static const char *const names[] = { "running_mean", "running_var" };
    for (int i = 0; *norm && i < 2; i++) {
        char cell[128], out[128];
        snprintf(cell, sizeof cell, "%s%s", norm, names[i]);
        snprintf(out, sizeof out, "out.%s", names[i]);
        struct mega_cell *m = mega_store_find_cell(&b->store, cell);
        if (m) golden_compare(b->c, out, &m->value, false);
    }
}

void golden_block_end(struct golden_block *b, mega_tensor *y, const char *norm)
{
    struct golden_case *c = b->c;
    mega_tensor *cotangent = golden_input(c, b->run, "cotangent", b->time_first);
    if (y && cotangent) {
        golden_compare(c, "out.y", y, b->time_first);
        mega_run_seed_with(b->run, y, cotangent);
        mega_run_backward(b->run);
    }
    if (!golden_check(c, mega_run_end(b->run))) return;
    golden_compare_gradients(c, &b->store, "");
    golden_compare(c, "grad.in.x", b->x->grad, b->time_first);
    compare_running(b, norm);
}

/* ---- streams ---- */

static mega_tensor *places(mega_run *r, const mega_tensor *x, int64_t from, int64_t n)
{
    int64_t B = x->dim[0], T = x->dim[1], D = x->dim[2];
    mega_tensor *piece = mega_run_tensor(r, MEGA_F32, 3, (int64_t[]){ B, n, D });
    for (int64_t i = 0; piece && i < B * n * D; i++)
        mega_put(piece, i / D, i % D, mega_get(x, i / (n * D) * T + from + i / D % n, i % D));
    return piece;
}

void golden_block_stream_look(struct golden_block *b, const char *pieces,
    golden_forward *forward, const void *self, struct mega_cell *state, const char *last,
    const char *first, golden_look *look)
{
    struct golden_case *c = b->c;
    const struct mega_st_tensor *in = golden_find(c, "in.x");
    if (c->status || !golden_find(c, "out.y_incremental")) return;
    int64_t T = in->dim[0], B = in->dim[1], D = in->dim[2];
    float *joined = calloc((size_t)(T * B * D), sizeof *joined),
          *x = calloc((size_t)(T * B * D), sizeof *x);
    for (int64_t i = 0; i < T * B * D; i++)
        x[(i / D % B * T + i / (B * D)) * D + i % D] = (float)mega_st_real(in, i);
    int64_t dim[] = { B, T, D };
    mega_tensor whole = mega_tensor_over(x, MEGA_F32, 3, dim),
                y = mega_tensor_over(joined, MEGA_F32, 3, dim);
    mega_stream *s = NULL;
    golden_check(c, mega_stream_new(&s, &b->store, B, T, T));
    for (int64_t at = 0, n; !c->status && at < T; at += n) {
        n = *pieces ? strtoll(pieces, (char **)(uintptr_t)&pieces, 10) : 1;
        if (*pieces == ',') pieces++;
        mega_run_begin(b->run, &(struct mega_run_args){ .stream = s });
        struct mega_rows rows = { .B = B, .T = n };
        mega_tensor *out =
            forward(b->run, self, places(b->run, &whole, at, n), mega_run_rows(b->run, &rows));
        for (int64_t i = 0; out && i < B * n * D; i++)
            mega_put(&y, i / (n * D) * T + at + i / D % n, i % D, mega_get(out, i / D, i % D));
        golden_check(c, mega_run_end(b->run));
        if (at == 0 && first) golden_compare(c, first, mega_stream_value(s, state), false);
    }
    golden_compare(c, "out.y_incremental", &y, true);
    if (s && last) golden_compare(c, last, mega_stream_value(s, state), false);
    if (s && look) look(b, s, self);
    mega_stream_free(s);
    free(joined);
    free(x);
}

void golden_block_stream(struct golden_block *b, const char *pieces, golden_forward *forward,
    const void *self, struct mega_cell *state, const char *last, const char *first)
{
    golden_block_stream_look(b, pieces, forward, self, state, last, first, NULL);
}
