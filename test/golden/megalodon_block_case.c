/* Cases of Megalodon's first hop (official) and of whole layers (the port). */
#include <stdlib.h>
#include <string.h>

#include "golden/megalodon_case.h"

/* ---- the official first hop, whole and token by token ---- */

static void run_whole(struct megalodon_case *m, const struct mega_megalodon_attention *a)
{
    mega_run *r = m->run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    mega_tensor *x = golden_input(m->c, r, "x", false);
    if (x) x->wants_grad = true;
    struct mega_rows rows = { .B = mega_dim(x, 0), .T = mega_dim(x, 1) };
    golden_backward(m->c, r, mega_megalodon_attention_run(r, a, x, &rows), false);
    if (golden_check(m->c, mega_run_end(r))) megalodon_compare_gradients(m);
    golden_compare(m->c, "grad.in.x", x ? x->grad : NULL, false);
}

static void run_step(struct megalodon_case *m, const struct mega_megalodon_attention *a,
    mega_stream *s, int64_t at, double *got)
{
    const struct mega_st_tensor *x = golden_find(m->c, "in.x");
    int64_t B = x->dim[0], T = x->dim[1], D = x->dim[2];
    mega_run_begin(m->run, &(struct mega_run_args){ .stream = s });
    mega_tensor *one =
        mega_run_tensor(m->run, mega_run_dtype(m->run), 3, (int64_t[]){ B, 1, D });
    for (int64_t i = 0; i < B * D; i++)
        mega_put(one, i / D, i % D, golden_value(x, (i / D * T + at) * D + i % D));
    struct mega_rows rows = { .B = B, .T = 1 };
    mega_tensor *y = mega_megalodon_attention_run(m->run, a, one, mega_run_rows(m->run, &rows));
    for (int64_t i = 0; y && i < B * D; i++)
        got[(i / D * T + at) * D + i % D] = mega_get(y, i / D, i % D);
    golden_check(m->c, mega_run_end(m->run));
}

static void run_stream(
    struct megalodon_case *m, const struct mega_megalodon_attention *a, mega_stream *s)
{
    const struct mega_st_tensor *x = golden_find(m->c, "in.x");
    int64_t T = x->dim[1], chunk = a->options.chunk;
    double *got = calloc((size_t)x->count + 1, sizeof *got);
    for (int64_t at = 0; at < T && !m->c->verdict; at++) run_step(m, a, s, at, got);
    golden_compare_numbers(m->c, "out.y_incremental", got, x->count);
    free(got);
    megalodon_compare_states(m, "out.state.", s, a);
    if (T >= chunk) return;
    megalodon_compare_state(m, "out.state.key", s, a->past_keys, T * a->options.keys);
    megalodon_compare_state(m, "out.state.value", s, a->past_values, T * a->options.values);
}

void golden_megalodon_attention(struct golden_case *c)
{
    struct megalodon_case m;
    struct mega_megalodon_attention a;
    struct mega_megalodon_options o;
    mega_stream *s = NULL;
    static const char *const of_the_model[] = { "num_layers", "vocab_size", "output_size",
        "scale_emb", "share_emb" };
    for (size_t i = 0; i < sizeof of_the_model / sizeof *of_the_model; i++)
        golden_cfg(c, of_the_model[i]);
    if (megalodon_open(c, &m, false)) {
        megalodon_options(&m, &o);
        mega_megalodon_attention_build(&m.build, &a, &o);
        if (megalodon_ready(&m)) run_whole(&m, &a);
        const struct mega_st_tensor *x = golden_find(c, "in.x");
        if (!c->verdict && x && golden_check(c, mega_stream_new(&s, &m.store, x->dim[0], 1, 0)))
            run_stream(&m, &a, s);
    }
    mega_stream_free(s);
    megalodon_close(&m);
}

/* ---- a layer of the port, with a mask ---- */

void golden_megalodon_block_port(struct golden_case *c)
{
    struct megalodon_case m;
    struct mega_megalodon_block block;
    struct mega_megalodon_options o;
    static const char *const of_the_model[] = { "num_layers", "vocab_size", "output_size",
        "scale_emb", "pad_token_id" };
    for (size_t i = 0; i < sizeof of_the_model / sizeof *of_the_model; i++)
        golden_cfg(c, of_the_model[i]);
    if (megalodon_open(c, &m, true)) {
        megalodon_options(&m, &o);
        mega_megalodon_block_build(&m.build, &block, &o);
        if (megalodon_ready(&m)) {
            mega_run *r = m.run;
            mega_run_begin(
                r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
            mega_tensor *x = golden_input(c, r, "x", false);
            if (x) x->wants_grad = true;
            struct mega_rows rows = {
                .B = mega_dim(x, 0), .T = mega_dim(x, 1), .real = megalodon_real(&m)
            };
            golden_backward(c, r, mega_megalodon_block_run(r, &block, x, &rows), false);
            golden_compare(c, "grad.in.x", x ? x->grad : NULL, false);
            if (golden_check(c, mega_run_end(r))) megalodon_compare_gradients(&m);
        }
    }
    megalodon_close(&m);
}
