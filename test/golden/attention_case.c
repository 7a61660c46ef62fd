/* Cases of the Mega block: whole rows, attention maps, and token by token with a carried state.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/block_case.h"
#include "op/contracts.h"

/* one of two names, whichever the case has */
static const char *either(const struct golden_case *c, const char *a, const char *b)
{
    return golden_has_cfg(c, a) ? a : b;
}

struct mega_gated_attention_options golden_attention_options(struct golden_case *c)
{
    bool two_way = golden_cfg_bool(c, "bidirectional", true);
    bool causal = golden_cfg_bool(c, "causal_mask", !two_way);
    if (two_way == causal)
        golden_unsupported(c, "a %s EMA with %s causal mask", two_way ? "two-way" : "one-way",
            causal ? "a" : "no");
    return (struct mega_gated_attention_options){
        .width = golden_cfg_int(c, either(c, "embed_dim", "embedding_dim"), 0),
        .values = golden_cfg_int(c, either(c, "hdim", "hidden_dim"), 0),
        .keys = golden_cfg_int(c, either(c, "zdim", "z_dim"), 0),
        .states = golden_cfg_int(c, either(c, "ndim", "n_dim"), 1),
        .chunk = golden_cfg_int(c, "chunk_size", -1),
        .truncation = golden_cfg_int(c, "truncation", 0),
        .longest = golden_cfg_int(c, "max_positions", 1),
        .act = golden_cfg_choice(
            c, "activation", "linear|relu|gelu|gelu_accurate|silu", MEGA_ACT_SILU),
        .attention = golden_cfg_choice(c, "attention_activation", MEGA_ATTENTION_CHOICES, 0),
        .bias = golden_cfg_choice(c, "rel_pos_bias", MEGA_BIAS_CHOICES, 0),
        .norm = golden_cfg_choice(c, "norm_type", MEGA_NORM_CHOICES, 0),
        .prenorm = golden_cfg_bool(c, "prenorm", true),
        .affine = golden_cfg_bool(c, "norm_affine", true),
        .causal = causal,
    };
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
    if (b->c->status || !golden_find(b->c, "out.attn")) return;
    bool training = golden_cfg_bool(b->c, "training", true);
    mega_run_begin(b->run, &(struct mega_run_args){ .mode = training ? MEGA_RUN_TRAIN : 0,
                               .wants = "weights",
                               .tap = compare_map,
                               .tap_arg = b->c });
    mega_tensor *x = golden_input(b->c, b->run, "x", true),
                *mask = golden_input(b->c, b->run, "padding_mask", false);
    int32_t *real = mask ? mask->data : NULL;
    for (int64_t i = 0; mask && i < mega_count(mask); i++) real[i] = !real[i];
    struct mega_rows rows = { .B = x->dim[0], .T = x->dim[1], .real = real };
    mega_gated_attention_run(b->run, m, x, mega_run_rows(b->run, &rows));
    golden_check(b->c, mega_run_end(b->run));
}

/* the official cache holds the places of the unfinished window; a whole one has just been
 * cleared */
static void compare_cache(struct golden_block *b, mega_stream *s, const void *self)
{
    const struct mega_gated_attention *m = self;
    static const char *const names[] = { "out.state.prev_key", "out.state.prev_value" };
    struct mega_cell *const cells[] = { m->past_keys, m->past_values };
    for (int k = 0; k < 2; k++) {
        const struct mega_st_tensor *want = golden_find(b->c, "%s", names[k]);
        if (!want) continue;
        const mega_tensor *log = mega_stream_value(s, cells[k]);
        int64_t B = want->dim[0], n = want->dim[1], width = want->dim[2],
                end = mega_stream_places(s)[0];
        double *got = calloc((size_t)want->count, sizeof *got);
        for (int64_t i = 0; i < want->count; i++) {
            int64_t row = i / (n * width), place = end - n + i / width % n;
            got[i] = mega_get(log, row * log->dim[1] + place % log->dim[1], i % width);
        }
        (void)B;
        golden_compare_numbers(b->c, names[k], got, want->count);
        free(got);
    }
}

void golden_attention(struct golden_case *c)
{
    struct golden_block b;
    struct mega_gated_attention m;
    if (!golden_block_open(c, &b)) return;
    struct mega_gated_attention_options o = golden_attention_options(c);
    mega_gated_attention_build(&b.build, &m, &o);
    if (golden_block_begin(&b, "x")) {
        golden_block_end(&b, mega_gated_attention_run(b.run, &m, b.x, b.rows), "norm.norm.");
        look_at_map(&b, &m);
        golden_block_stream_look(&b, "", (golden_forward *)mega_gated_attention_run, &m,
            m.ema.state, "out.state.prev_state", NULL, compare_cache);
    }
    golden_block_close(&b);
}
