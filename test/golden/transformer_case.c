/* Cases of whole Transformers from tokens to logits: whole, token by token. */
#include "golden/transformer_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begin(struct transformer_case *t)
{
    transformer_case_options(t);
    if (t->c->verdict || !golden_check(t->c, mega_store_init(&t->store))) return false;
    mega_build b = { .store = &t->store };
    mega_transformer_build(&b, &t->model, &t->options);
    /* tiles cannot do everything, and say so */
    t->c->refused = b.status && t->c->exec && strstr(mega_message(), "attn_exec");
    if (t->c->refused || !golden_check(t->c, b.status) ||
        !golden_check(t->c, mega_store_lay_out(&t->store, true)))
        return false;
    transformer_case_load(t);
    return !t->c->verdict && golden_check(t->c, golden_run_new(t->c, &t->run));
}

static void end(struct transformer_case *t)
{
    mega_run_free(t->run);
    mega_store_done(&t->store);
}

/* in.context, with its rows */
static void add_context(
    struct transformer_case *t, struct mega_transformer_inputs *in, struct mega_rows *source)
{
    in->context = golden_input(t->c, t->run, "context", false);
    mega_tensor *real = golden_input(t->c, t->run, "context_mask", false);
    if (!in->context) return;
    in->context->wants_grad = true;
    *source = (struct mega_rows){ .B = mega_dim(in->context, 0),
        .T = mega_dim(in->context, 1),
        .real = real ? real->data : NULL };
    in->context_rows = source;
}

/* in.mask: 1 = a token */
static void run_whole(struct transformer_case *t)
{
    mega_run *r = t->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    mega_tensor *ids = golden_input(t->c, r, "tokens", false),
                *real = golden_input(t->c, r, "mask", false);
    struct mega_rows rows = {
        .B = mega_dim(ids, 0), .T = mega_dim(ids, 1), .real = real ? real->data : NULL
    };
    struct mega_transformer_inputs in = { .ids = ids };
    struct mega_rows source;
    add_context(t, &in, &source);
    mega_tensor *x = mega_transformer_features_of(r, &t->model, &in, &rows, NULL);
    golden_backward(t->c, r, x ? mega_transformer_head_run(r, &t->model.head, x) : NULL, false);
    if (in.context && in.context->grad)
        golden_compare(t->c, "grad.in.context", in.context->grad, false);
    if (golden_check(t->c, mega_run_end(r))) transformer_case_gradients(t);
}

/* one token a pass */
static void run_stream(struct transformer_case *t, mega_stream *s, int64_t B, int64_t T)
{
    int64_t V = t->options.vocabulary;
    double *got = calloc((size_t)(B * T * V), sizeof *got);
    for (int64_t at = 0; at < T && !t->c->verdict; at++) {
        mega_run_begin(t->run, &(struct mega_run_args){ .stream = s });
        mega_tensor *all = golden_input(t->c, t->run, "tokens", false),
                    *ids = mega_run_tensor(t->run, MEGA_I32, 2, (int64_t[]){ B, 1 });
        for (int64_t b = 0; all && ids && b < B; b++) mega_put(ids, b, 0, mega_get(all, b, at));
        struct mega_rows rows = { .B = B, .T = 1 };
        mega_tensor *y =
            mega_transformer_run(t->run, &t->model, ids, mega_run_rows(t->run, &rows));
        for (int64_t i = 0; y && i < B * V; i++)
            got[(i / V * T + at) * V + i % V] = mega_get(y, i / V, i % V);
        golden_check(t->c, mega_run_end(t->run));
    }
    golden_compare_numbers(t->c, "out.logits_incremental", got, B * T * V);
    free(got);
}

void golden_transformer(struct golden_case *c)
{
    struct transformer_case t = { .c = c };
    if (begin(&t)) run_whole(&t);
    end(&t);
}

void golden_transformer_cache(struct golden_case *c)
{
    struct transformer_case t = { .c = c };
    mega_stream *s = NULL;
    if (begin(&t)) {
        run_whole(&t);
        const struct mega_st_tensor *ids = golden_find(c, "in.tokens");
        int64_t B = ids->dim[0], T = ids->dim[1];
        if (!c->verdict && golden_check(c, mega_stream_new(&s, &t.store, B, 1, T)))
            run_stream(&t, s, B, T);
    }
    mega_stream_free(s);
    end(&t);
}

/* ---- segments with memory ---- */

/* columns from ... from+n-1 of each row of a text */
static mega_tensor *piece(mega_run *r, const mega_tensor *all, int64_t from, int64_t n)
{
    int64_t dim[] = { mega_dim(all, 0), n, mega_dim(all, 2) };
    mega_tensor *part = mega_run_tensor(r, all->dtype, all->rank, dim);
    int64_t width = all->rank > 2 ? dim[2] : 1, T = mega_dim(all, 1);
    for (int64_t i = 0; part && i < dim[0] * n * width; i++) {
        int64_t k = (i / width / n * T + from + i / width % n) * width + i % width;
        mega_put(part, i / mega_width(part), i % mega_width(part),
            mega_get(all, k / mega_width(all), k % mega_width(all)));
    }
    return part;
}

static void run_segment(
    struct transformer_case *t, mega_stream *s, int64_t from, int64_t n, double *y)
{
    mega_run *r = t->run;
    mega_run_begin(
        r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD, .stream = s });
    mega_tensor *all = golden_input(t->c, r, "tokens", false),
                *slope = golden_input(t->c, r, "cotangent", false);
    struct mega_rows rows = { .B = mega_dim(all, 0), .T = n };
    const struct mega_rows *here = mega_run_rows(r, &rows);
    mega_tensor *out = mega_transformer_run(r, &t->model, piece(r, all, from, n), here);
    int64_t V = mega_dim(out, 2), T = mega_dim(all, 1);
    for (int64_t i = 0; out && i < rows.B * n * V; i++)
        y[(i / V / n * T + from + i / V % n) * V + i % V] = mega_get(out, i / V, i % V);
    if (out) mega_run_seed_with(r, out, piece(r, slope, from, n));
    mega_run_backward(r);
    golden_check(t->c, mega_run_end(r));
}

/* out.mem<l>: what the l-th attention leaves */
static void compare_memories(struct transformer_case *t, const mega_stream *s)
{
    for (int64_t i = 0, l = 0; i < t->model.plan.steps; i++) {
        const struct mega_attention *a = &t->model.step[i].attention;
        char name[32];
        if (t->model.step[i].kind != MEGA_BRANCH_ATTENTION) continue;
        snprintf(name, sizeof name, "out.mem%lld", (long long)l++);
        golden_compare(t->c, name, mega_stream_value(s, a->memory), false);
    }
}

void golden_transformer_segments(struct golden_case *c)
{
    struct transformer_case t = { .c = c };
    mega_stream *s = NULL;
    if (begin(&t)) {
        const struct mega_st_tensor *ids = golden_find(c, "in.tokens");
        int64_t B = ids->dim[0], T = ids->dim[1], V = t.options.vocabulary,
                n = golden_cfg_int(c, "seq_len", T);
        double *y = calloc((size_t)(B * T * V), sizeof *y);
        if (y && golden_check(c, mega_stream_new(&s, &t.store, B, n, T)))
            for (int64_t at = 0; at < T && !c->verdict; at += n) run_segment(&t, s, at, n, y);
        if (!c->verdict) {
            golden_compare_numbers(c, "out.y", y, B * T * V);
            compare_memories(&t, s);
            transformer_case_gradients(&t);
        }
        free(y);
    }
    mega_stream_free(s);
    end(&t);
}
