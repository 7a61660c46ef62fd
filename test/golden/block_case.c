#include "golden/block_case.h"

#include <stdlib.h>
#include <string.h>

bool golden_block_open(struct golden_case *c, struct golden_block *b)
{
    *b = (struct golden_block){ .c = c, .time_first = true };
    if (!golden_check(c, mega_store_init(&b->store))) return false;
    b->build.store = &b->store;
    b->opened = true;
    return golden_check(c, golden_run_new(c, &b->run));
}

void golden_block_close(struct golden_block *b)
{
    mega_run_free(b->run);
    if (b->opened) mega_store_done(&b->store);
}

/* 1 = padding in the file, 1 = real here */
const int32_t *golden_block_real(struct golden_block *b, const mega_tensor *x)
{
    mega_tensor *mask = golden_input(b->c, b->run, "padding_mask", false);
    int32_t *real = mask ? mask->data : NULL;
    if (mask && mega_count(mask) != x->dim[0] * mega_dim(x, 1))
        golden_fail(b->c, "in.padding_mask does not fit in.x");
    for (int64_t i = 0; mask && i < mega_count(mask); i++) real[i] = !real[i];
    return real;
}

bool golden_block_begin(struct golden_block *b, const char *input)
{
    struct golden_case *c = b->c;
    golden_cfg_int(c, "seq_len", 0);
    golden_cfg_int(c, "batch", 0);
    golden_cfg_no_dropout(c);
    bool training = golden_cfg_bool(c, "training", true);
    if (!golden_ready(c, &b->build)) return false;
    mega_run_begin(b->run,
        &(struct mega_run_args){ .mode = MEGA_RUN_GRAD | (training ? MEGA_RUN_TRAIN : 0) });
    if (!input) return true;
    b->x = golden_input(c, b->run, input, b->time_first);
    if (!b->x) {
        golden_fail(c, "in.%s is missing", input);
        return false;
    }
    b->x->wants_grad = true;
    b->held = (struct mega_rows){
        .B = b->x->dim[0], .T = mega_dim(b->x, 1), .real = golden_block_real(b, b->x)
    };
    b->rows = mega_run_rows(b->run, &b->held);
    return !c->verdict;
}

void golden_block_end(struct golden_block *b, mega_tensor *y)
{
    struct golden_case *c = b->c;
    golden_backward(c, b->run, y, b->time_first);
    if (!golden_check(c, mega_run_end(b->run))) return;
    golden_compare_gradients(c, &b->store);
    golden_compare(c, "grad.in.x", b->x->grad, b->time_first);
    golden_compare_running(c, &b->store);
}

/* ---- streams ---- */

/* places from ... from+n-1 of x [B, T, D] */
static mega_tensor *places(mega_run *r, const mega_tensor *x, int64_t from, int64_t n)
{
    int64_t B = x->dim[0], T = x->dim[1], D = x->dim[2];
    mega_tensor *piece = mega_run_tensor(r, x->dtype, 3, (int64_t[]){ B, n, D });
    for (int64_t i = 0; piece && i < B * n * D; i++)
        mega_put(piece, i / D, i % D, mega_get(x, i / (n * D) * T + from + i / D % n, i % D));
    return piece;
}

/* one pass; y: where its outputs go in the whole */
static bool run_piece(struct golden_block *b, const struct golden_stream *how, mega_stream *s,
    const mega_tensor *whole, int64_t at, int64_t n, mega_tensor *y)
{
    int64_t B = whole->dim[0], T = whole->dim[1], D = whole->dim[2];
    mega_run_begin(b->run, &(struct mega_run_args){ .stream = s });
    struct mega_rows rows = { .B = B, .T = n };
    mega_tensor *out = how->forward(
        b->run, how->self, places(b->run, whole, at, n), mega_run_rows(b->run, &rows));
    for (int64_t i = 0; out && i < B * n * D; i++)
        mega_put(y, i / (n * D) * T + at + i / D % n, i % D, mega_get(out, i / D, i % D));
    return golden_check(b->c, mega_run_end(b->run));
}

/* length of the next piece, and on to the one after it */
static int64_t next_piece(const char **pieces, int64_t left)
{
    char *end;
    if (!**pieces) return 1;
    int64_t n = strtoll(*pieces, &end, 10);
    *pieces = *end == ',' ? end + 1 : end;
    return n < 1 || n > left ? left : n;
}

static void run_stream(struct golden_block *b, const struct golden_stream *how, mega_stream *s,
    const mega_tensor *whole, mega_tensor *y)
{
    struct golden_case *c = b->c;
    const char *pieces = golden_cfg(c, "pieces");
    int64_t T = whole->dim[1];
    for (int64_t at = 0, n; at < T; at += n) {
        n = next_piece(&pieces, T - at);
        if (!run_piece(b, how, s, whole, at, n, y)) return;
        if (at == 0 && how->first)
            golden_compare(c, how->first, mega_stream_value(s, how->state), false);
    }
    golden_compare(c, "out.y_incremental", y, true);
    golden_compare(c, how->last, mega_stream_value(s, how->state), false);
    if (how->look) how->look(b, s, how->self);
}

void golden_block_stream(struct golden_block *b, const struct golden_stream *how)
{
    struct golden_case *c = b->c;
    mega_stream *s = NULL;
    if (c->verdict || !golden_find(c, "out.y_incremental")) return;
    if (!how->state || b->rows->real) {
        golden_unsupported(c, "a stream %s", how->state ? "with padding" : "both ways");
        return;
    }
    /* x outlives the runs of the pieces */
    const mega_tensor *x = b->x;
    float *memory = calloc(2 * (size_t)mega_count(x) + 1, sizeof *memory);
    mega_tensor whole = mega_tensor_over(memory, x->dtype, 3, x->dim),
                y = mega_tensor_over(memory + mega_count(x), MEGA_F32, 3, x->dim);
    mega_tensor_copy(&whole, x);
    if (golden_check(c, mega_stream_new(&s, &b->store, x->dim[0], x->dim[1], x->dim[1])))
        run_stream(b, how, s, &whole, &y);
    mega_stream_free(s);
    free(memory);
}
