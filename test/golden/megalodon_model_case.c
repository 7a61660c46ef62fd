/* Cases of whole Megalodon language models, official and port: one pass with gradients, token
 * by token, a chunk and the rest. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/language_case.h"
#include "golden/megalodon_case.h"

struct model_case {
    struct megalodon_case m;
    struct mega_megalodon model;
    const struct mega_st_tensor *tokens;
    int64_t B, T, V; /* V: classes of the output */
};

/* ---- what the file says ---- */

static void read_options(struct model_case *t, struct mega_megalodon_model_options *o)
{
    struct golden_case *c = t->m.c;
    memset(o, 0, sizeof *o);
    megalodon_options(&t->m, &o->layer);
    o->vocabulary = golden_cfg_int(c, "vocab_size", 0);
    int64_t output = golden_cfg_int(c, "output_size", -1);
    o->output = output > 0 ? output : 0;
    o->layers = golden_cfg_int(c, "num_layers", 1);
    o->pad = golden_cfg_int(c, "pad_token_id", -1);
    o->scale_embedding = golden_cfg_bool(c, "scale_emb", false);
    /* the port ties whenever it can */
    o->share_embedding = golden_cfg_bool(c, "share_emb", t->m.port && !o->output);
    t->V = o->output ? o->output : o->vocabulary;
}

static void find_tokens(struct model_case *t)
{
    struct golden_case *c = t->m.c;
    t->tokens = golden_find(c, "in.tokens");
    if (!t->tokens || t->tokens->rank != 2)
        golden_fail(c, "in.tokens is missing or of another shape");
    else
        t->B = t->tokens->dim[0], t->T = t->tokens->dim[1];
}

/* the official file keeps the frequencies */
static void check_frequencies(struct model_case *t)
{
    const struct mega_st_tensor *freqs = golden_find(t->m.c, "param.rope.freqs");
    const struct mega_megalodon_options *o = &t->model.options.layer;
    double dims = (double)(o->keys / o->heads);
    for (int64_t j = 0; freqs && j < freqs->count; j++) {
        double want = pow(o->rotary_base, -2 * (double)j / dims);
        if (fabs(golden_value(freqs, j) - want) > 1e-6 * want)
            golden_fail(t->m.c, "rope.freqs[%lld] is %.9g, ours %.9g", (long long)j,
                golden_value(freqs, j), want);
    }
}

/* ---- passes ---- */

/* places from ... from+n-1 of all rows */
static mega_tensor *piece(struct model_case *t, int64_t from, int64_t n)
{
    mega_tensor *ids = mega_run_tensor(t->m.run, MEGA_I32, 2, (int64_t[]){ t->B, n });
    for (int64_t i = 0; ids && i < t->B * n; i++)
        mega_put(ids, i / n, i % n, golden_value(t->tokens, i / n * t->T + from + i % n));
    return ids;
}

/* sum over all places but the last of -log softmax(y)[next token] */
static void compare_loss(struct model_case *t, const mega_tensor *y)
{
    double loss = 0;
    for (int64_t i = 0; i < t->B * t->T; i++) {
        if (i % t->T == t->T - 1) continue;
        double most = -INFINITY, sum = 0;
        for (int64_t v = 0; v < t->V; v++) most = fmax(most, mega_get(y, i, v));
        for (int64_t v = 0; v < t->V; v++) sum += exp(mega_get(y, i, v) - most);
        int64_t target = (int64_t)golden_value(t->tokens, i + 1) % t->V;
        loss += most + log(sum) - mega_get(y, i, target);
    }
    golden_compare_numbers(t->m.c, "out.loss", &loss, 1);
}

static void run_whole(struct model_case *t)
{
    mega_run *r = t->m.run;
    mega_run_begin(r, &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD });
    struct mega_rows rows = { .B = t->B, .T = t->T };
    mega_tensor *y = mega_megalodon_run(r, &t->model, piece(t, 0, t->T), &rows);
    if (y) compare_loss(t, y);
    golden_backward(t->m.c, r, y, false);
    if (golden_check(t->m.c, mega_run_end(r))) megalodon_compare_gradients(&t->m);
}

/* pieces of `first` and then of `each` places; compares with out.<name> */
static void run_pieces(
    struct model_case *t, mega_stream *s, int64_t first, int64_t each, const char *name)
{
    double *got = calloc((size_t)(t->B * t->T * t->V), sizeof *got);
    mega_stream_reset(s);
    for (int64_t at = 0, n; at < t->T && !t->m.c->verdict; at += n) {
        n = at ? each : first;
        if (n > t->T - at) n = t->T - at;
        mega_run_begin(t->m.run, &(struct mega_run_args){ .stream = s });
        struct mega_rows rows = { .B = t->B, .T = n };
        mega_tensor *y = mega_megalodon_run(
            t->m.run, &t->model, piece(t, at, n), mega_run_rows(t->m.run, &rows));
        for (int64_t i = 0; y && i < t->B * n * t->V; i++)
            got[(i / (n * t->V) * t->T + at + i / t->V % n) * t->V + i % t->V] =
                mega_get(y, i / t->V, i % t->V);
        golden_check(t->m.c, mega_run_end(t->m.run));
    }
    golden_compare_numbers(t->m.c, name, got, t->B * t->T * t->V);
    free(got);
}

static void compare_states(struct model_case *t, mega_stream *s)
{
    for (int64_t i = 0; i < t->model.options.layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "out.state.%lld.", (long long)i);
        megalodon_compare_states(&t->m, prefix, s, &t->model.layer[i].block.mega);
    }
    megalodon_compare_state(&t->m, "out.state.final_mean", s, t->model.final_norm.mean, 0);
    megalodon_compare_state(&t->m, "out.state.final_var", s, t->model.final_norm.var, 0);
}

static void run_streams(struct model_case *t)
{
    mega_stream *s;
    if (t->m.c->verdict ||
        !golden_check(t->m.c, mega_stream_new(&s, &t->m.store, t->B, t->T, 0)))
        return;
    int64_t chunk = t->model.options.layer.chunk;
    if (golden_find(t->m.c, "out.logits_prefill"))
        run_pieces(t, s, chunk, t->T, "out.logits_prefill");
    run_pieces(t, s, 1, 1, "out.logits_incremental");
    compare_states(t, s);
    mega_stream_free(s);
}

static void model(struct golden_case *c, bool port)
{
    struct model_case t;
    struct mega_megalodon_model_options o;
    memset(&t, 0, sizeof t);
    if (megalodon_open(c, &t.m, port)) {
        read_options(&t, &o);
        find_tokens(&t);
        mega_megalodon_build(&t.m.build, &t.model, &o);
        if (megalodon_ready(&t.m)) {
            check_frequencies(&t);
            run_whole(&t);
            run_streams(&t);
        }
    }
    megalodon_close(&t.m);
}

struct mega_model_config golden_megalodon_config(struct golden_case *c)
{
    struct mega_model_config config = { .architecture = MEGA_LANGUAGE_MODEL };
    struct mega_language_model_config *l = &config.language;
    struct mega_megalodon_model_options *o = (void *)l->options;
    struct model_case t = { .m = { .c = c } };
    read_options(&t, o);
    l->decoder = mega_choice_find(MEGA_DECODER_CHOICES, "megalodon");
    l->vocabulary = (struct mega_vocabulary){ o->vocabulary, o->pad };
    return config;
}

void golden_megalodon(struct golden_case *c)
{
    model(c, false);
}

void golden_megalodon_port(struct golden_case *c)
{
    model(c, true);
}
