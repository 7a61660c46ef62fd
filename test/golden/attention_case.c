/* Cases of the Mega block: whole rows, attention maps, and pieces with a carried state. */
#include <stdlib.h>
#include <string.h>

#include "golden/block_case.h"
#include "op/contracts.h"

struct mega_gated_attention_options golden_attention_options(struct golden_case *c)
{
    bool two_way = golden_cfg_bool(c, "bidirectional", true);
    bool causal = golden_cfg_bool(c, "causal_mask", !two_way);
    if (two_way == causal)
        golden_unsupported(c, "a %s EMA with %s causal mask", two_way ? "two-way" : "one-way",
            causal ? "a" : "no");
    return (struct mega_gated_attention_options){
        .width = golden_cfg_int(c, "embed_dim|embedding_dim", 0),
        .values = golden_cfg_int(c, "hdim|hidden_dim", 0),
        .keys = golden_cfg_int(c, "zdim|z_dim", 0),
        .states = golden_cfg_int(c, "ndim|n_dim", 1),
        .chunk = golden_cfg_int(c, "chunk_size", -1),
        .truncation = golden_cfg_int(c, "truncation|truncation_length", 0),
        .longest = golden_cfg_int(c, "max_positions", 1),
        .act = golden_cfg_act(c, "activation|activation_fn", MEGA_ACT_SILU),
        .attention = golden_cfg_choice(
            c, "attention_activation|attention_activation_fn", MEGA_ATTENTION_CHOICES, 0),
        .bias = golden_cfg_choice(c, "rel_pos_bias", MEGA_BIAS_CHOICES, 0),
        .norm = golden_cfg_norm(c),
        .prenorm = golden_cfg_bool(c, GOLDEN_PRENORM, true),
        .affine = golden_cfg_bool(c, "norm_affine", true),
        .causal = causal,
    };
}

static mega_tensor *forward(
    mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows)
{
    return mega_gated_attention_run(r, self, x, rows);
}

/* attention maps come through a second pass that asks for them: the first one takes the kernels
 * that give none */
static void compare_map(void *arg, const char *path, const char *what, const mega_tensor *t)
{
    (void)path;
    if (!strcmp(what, "weights")) golden_compare(arg, "out.attn", t, false);
}

static void look_at_map(struct golden_block *b, const struct mega_gated_attention *m)
{
    struct golden_case *c = b->c;
    if (c->verdict || !golden_find(c, "out.attn")) return;
    bool training = golden_cfg_bool(c, "training", true);
    mega_run_begin(b->run, &(struct mega_run_args){ .mode = training ? MEGA_RUN_TRAIN : 0,
                               .wants = "weights",
                               .tap = compare_map,
                               .tap_arg = c });
    mega_tensor *x = golden_input(c, b->run, "x", true);
    struct mega_rows rows = { .B = x->dim[0], .T = x->dim[1], .real = golden_block_real(b, x) };
    mega_gated_attention_run(b->run, m, x, mega_run_rows(b->run, &rows));
    golden_check(c, mega_run_end(b->run));
}

/* the official cache holds the places of the unfinished window; a whole one has just been
 * cleared */
static void compare_log(
    struct golden_block *b, mega_stream *s, const struct mega_cell *cell, const char *name)
{
    const struct mega_st_tensor *want = golden_find(b->c, "%s", name);
    const mega_tensor *log = mega_stream_value(s, cell);
    int64_t end = mega_stream_places(s)[0];
    if (!want || b->c->verdict) return;
    if (want->rank != 3 || want->dim[1] > end) {
        golden_fail(b->c, "%s does not fit the %lld places of the text", name, (long long)end);
        return;
    }
    int64_t n = want->dim[1], width = want->dim[2];
    double *got = calloc((size_t)want->count + 1, sizeof *got);
    for (int64_t i = 0; i < want->count; i++) {
        int64_t row = i / (n * width), place = end - n + i / width % n;
        got[i] = mega_get(log, row * log->dim[1] + place % log->dim[1], i % width);
    }
    golden_compare_numbers(b->c, name, got, want->count);
    free(got);
}

static void compare_cache(struct golden_block *b, mega_stream *s, const void *self)
{
    const struct mega_gated_attention *m = self;
    compare_log(b, s, m->past_keys, "out.state.prev_key");
    compare_log(b, s, m->past_values, "out.state.prev_value");
}

void golden_attention(struct golden_case *c)
{
    struct golden_block b;
    struct mega_gated_attention m;
    struct mega_gated_attention_options o = golden_attention_options(c);
    if (golden_block_open(c, &b)) {
        mega_gated_attention_build(&b.build, &m, &o);
        if (golden_block_begin(&b, "x")) {
            golden_block_end(&b, mega_gated_attention_run(b.run, &m, b.x, b.rows));
            golden_block_stream(&b, &(struct golden_stream){ .forward = forward,
                                        .self = &m,
                                        .state = m.ema.state,
                                        .last = "out.state.prev_state",
                                        .look = compare_cache });
            look_at_map(&b, &m);
        }
    }
    golden_block_close(&b);
}
