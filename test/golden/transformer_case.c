/* Cases of whole Transformers from tokens to logits: the names and settings of the files are
 * those of spec/variants.md, section 9.2. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/case.h"
#include "model/transformer.h"
#include "op/contracts.h"

struct transformer_case {
    struct golden_case *c;
    struct mega_transformer_options options;
    struct mega_transformer model;
    struct mega_store store;
    mega_run *run;
    double norm_offset; /* gains are stored less this */
};

/* ---- configuration ---- */

static bool layer_flag(struct golden_case *c, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "attn_layers.%s", key);
    return golden_cfg_bool(c, name, false);
}

static void read_attention(struct golden_case *c, struct mega_transformer_options *o)
{
    o->heads.each = golden_cfg_int(c, "attn_layers.heads", 8);
    o->keys.each = golden_cfg_int(c, "attn_layers.attn_dim_head", 64);
    o->values.each = golden_cfg_int(c, "attn_layers.attn_value_dim_head", 0);
    o->kv_heads.each = layer_flag(c, "attn_one_kv_head")
                           ? 1
                           : golden_cfg_int(c, "attn_layers.attn_kv_heads", 0);
    o->chunk.each = -1;
    const struct mega_st_tensor *frequencies =
        golden_find(c, "param.attn_layers.rotary_pos_emb.inv_freq");
    bool rotary = layer_flag(c, "rotary_pos_emb");
    golden_cfg_int(c, "attn_layers.rotary_emb_dim", 0); /* twice as many frequencies */
    o->attention.rotary = (struct mega_rotary_options){
        .dims = rotary && frequencies ? 2 * frequencies->count : 0,
        .base = 10000,
        .factor = 1,
        .interleaved = true,
    };
}

static void read_norms(struct golden_case *c, struct mega_transformer_options *o)
{
    bool pre = golden_cfg_bool(c, "attn_layers.pre_norm", true),
         final = golden_cfg_bool(c, "attn_layers.pre_norm_has_final_norm", true),
         scale = layer_flag(c, "use_scalenorm"), simple = layer_flag(c, "use_simple_rmsnorm"),
         rms = layer_flag(c, "use_rmsnorm") || simple;
    o->placement = pre ? MEGA_PLACEMENT_PRE : MEGA_PLACEMENT_POST;
    if (layer_flag(c, "sandwich_norm")) o->placement = MEGA_PLACEMENT_SANDWICH;
    if (!final) o->final_norm = MEGA_FINAL_NORM_OFF;
    o->norm = rms ? MEGA_RMSNORM : scale ? MEGA_SCALENORM : MEGA_LAYERNORM;
    /* the library divides by the length of x, nothing inside the root */
    o->norm_eps = rms || scale ? 1e-24 : 1e-5;
    o->norm_affine = !simple;
}

static void read_feed_forward(struct golden_case *c, struct mega_transformer_options *o)
{
    o->ffn.each = o->width * golden_cfg_int(c, "attn_layers.ff_mult", 4);
    o->gated = layer_flag(c, "ff_glu");
    o->act = MEGA_ACT_GELU;
    if (layer_flag(c, "ff_swish")) o->act = MEGA_ACT_SILU;
    if (layer_flag(c, "ff_relu_squared")) o->act = MEGA_ACT_RELU2;
    /* the switch leaves the biases of a gated projection */
    o->down_bias = !layer_flag(c, "ff_no_bias");
    o->up_bias = o->down_bias || o->gated;
}

static void read_ends(struct golden_case *c, struct mega_transformer_options *o)
{
    o->vocabulary = golden_cfg_int(c, "num_tokens", 0);
    o->longest = golden_cfg_int(c, "max_seq_len", 0);
    o->tied = golden_cfg_bool(c, "wrapper.tie_embedding", false);
    golden_cfg_bool(c, "wrapper.use_abs_pos_emb", true); /* then there is no table either */
    bool scaled = golden_cfg_bool(c, "wrapper.scaled_sinu_pos_emb", false),
         table = golden_find(c, "param.pos_emb.emb.weight") != NULL;
    o->positions = scaled  ? MEGA_POSITIONS_SCALED_SINUSOIDAL
                   : table ? MEGA_POSITIONS_LEARNED
                           : MEGA_POSITIONS_NONE;
    o->position_scale = table ? 1 / sqrt((double)o->width) : 1;
}

static void read_options(struct transformer_case *t)
{
    struct golden_case *c = t->c;
    struct mega_transformer_options *o = &t->options;
    o->width = golden_cfg_int(c, "attn_layers.dim", 0);
    o->plan.layers = golden_cfg_int(c, "attn_layers.depth", 0);
    o->causal = golden_cfg_choice(c, "kind", "Encoder|Decoder", 0);
    read_attention(c, o);
    read_norms(c, o);
    read_feed_forward(c, o);
    read_ends(c, o);
    t->norm_offset = golden_cfg_bool(c, "attn_layers.norm_add_unit_offset", true);
    static const char *const idle[] = { "seq_len", "batch", "mask" };
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) golden_cfg(c, idle[i]);
    golden_cfg_expect(c, "layer_types", "afaf");
    golden_cfg_expect(c, "layers_execute_order", "0,1,2,3");
    golden_cfg_complete(c);
}

/* ---- names ---- */

/* Where a parameter stands in the file. */
struct place {
    char name[128]; /* without "param." */
    bool norm;      /* a gain */
    bool second;    /* the lower half of a gated projection */
};

static const struct {
    const char *ours, *theirs;
} names[] = {
    { "tok_emb.weight", "token_emb.emb.weight" },
    { "pos_emb.weight", "pos_emb.emb.weight" },
    { "pos_emb.scale", "pos_emb.scale" },
    { "lm_head.weight", "to_logits.weight" },
    { "final_norm.weight", "attn_layers.final_norm.%s" },
    { "norm_pre.weight", "0.0.%s" },
    { "norm_branch.weight", "0.1.%s" },
    { "norm_post.weight", "0.2.%s" },
    { "attn.q.weight", "1.to_q.weight" },
    { "attn.k.weight", "1.to_k.weight" },
    { "attn.v.weight", "1.to_v.weight" },
    { "attn.o.weight", "1.to_out.weight" },
    { "ff.up.weight", "1.ff.0.%s.weight" },
    { "ff.up.bias", "1.ff.0.%s.bias" },
    { "ff.gate.weight", "1.ff.0.%s.weight" },
    { "ff.gate.bias", "1.ff.0.%s.bias" },
    { "ff.down.weight", "1.ff.2.weight" },
    { "ff.down.bias", "1.ff.2.bias" },
};

/* "sub.3.attn.q.weight" -> "attn_layers.layers.3.1.to_q.weight" */
static struct place place_of(const struct transformer_case *t, const char *ours)
{
    struct place p = { .norm = strstr(ours, "norm") != NULL,
        .second = strstr(ours, ".gate.") != NULL };
    const char *gain = t->options.norm == MEGA_LAYERNORM ? "gamma" : "g";
    long module = 0;
    int skip = 0;
    bool in_plan = sscanf(ours, "sub.%ld.%n", &module, &skip) == 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char theirs[64];
        const char *variable = p.norm ? gain : t->options.gated ? "proj" : "0";
        if (strcmp(names[i].ours, ours + (in_plan ? skip : 0)) != 0) continue;
        const char *at = strstr(names[i].theirs, "%s");
        if (at)
            snprintf(theirs, sizeof theirs, "%.*s%s%s", (int)(at - names[i].theirs),
                names[i].theirs, variable, at + 2);
        else
            snprintf(theirs, sizeof theirs, "%s", names[i].theirs);
        if (in_plan)
            snprintf(p.name, sizeof p.name, "attn_layers.layers.%ld.%s", module, theirs);
        else
            snprintf(p.name, sizeof p.name, "%s", theirs);
    }
    return p;
}

/* The file has query head h read head h mod G of the keys, the library here h / (H / G): so
 * its heads stand in another order. */
static int64_t file_head(const struct mega_transformer_options *o, int64_t h)
{
    int64_t G = o->kv_heads.each ? o->kv_heads.each : o->heads.each, group = o->heads.each / G;
    return h % group * G + h / group;
}

/* where element i of a parameter stands in its tensor of the file */
static int64_t file_index(const struct transformer_case *t, const struct mega_param *p,
    const struct place *at, int64_t i)
{
    const struct mega_transformer_options *o = &t->options;
    int64_t d = o->keys.each * o->width, dv = o->values.each ? o->values.each : o->keys.each;
    if (at->second) return i + p->count;
    if (strstr(p->name, ".attn.q.")) return file_head(o, i / d) * d + i % d;
    if (strstr(p->name, ".attn.o."))
        return file_head(o, i / dv % o->heads.each) * dv + i % dv +
               i / (o->heads.each * dv) * (o->heads.each * dv);
    return i;
}

static void load(struct transformer_case *t)
{
    for (struct mega_param *p = t->store.first; p; p = p->next) {
        struct place at = place_of(t, p->name);
        const struct mega_st_tensor *from = golden_find(t->c, "param.%s", at.name);
        bool half = t->options.gated && strstr(p->name, ".ff.") && !strstr(p->name, "down");
        if (!from || from->count != p->count * (half ? 2 : 1)) {
            golden_fail(t->c, "%s: param.%s is %s", p->name, at.name,
                from ? "of another size" : "missing");
            return;
        }
        for (int64_t i = 0; i < p->count; i++)
            ((float *)p->value.data)[i] = (float)(golden_value(from, file_index(t, p, &at, i)) +
                                                  (at.norm ? t->norm_offset : 0));
    }
}

/* the gradient of one tensor of the file: of one parameter, or of the two halves of a gated
 * projection */
static void compare_gradient(struct transformer_case *t, const struct mega_st_tensor *want)
{
    double *got = calloc((size_t)want->count + 1, sizeof *got);
    for (const struct mega_param *p = t->store.first; p; p = p->next) {
        struct place at = place_of(t, p->name);
        if (strcmp(at.name, want->name + strlen("grad.param.")) != 0) continue;
        for (int64_t i = 0; i < p->count && file_index(t, p, &at, i) < want->count; i++)
            got[file_index(t, p, &at, i)] = (double)((const float *)p->gradient.data)[i];
    }
    golden_compare_numbers(t->c, want->name, got, want->count);
    free(got);
}

static void compare_gradients(struct transformer_case *t)
{
    for (int i = 0; i < t->c->file->n; i++)
        if (!strncmp(t->c->file->tensor[i].name, "grad.param.", 11))
            compare_gradient(t, &t->c->file->tensor[i]);
}

/* ---- running ---- */

static bool begin(struct transformer_case *t)
{
    read_options(t);
    if (t->c->verdict || !golden_check(t->c, mega_store_init(&t->store))) return false;
    mega_build b = { .store = &t->store };
    mega_transformer_build(&b, &t->model, &t->options);
    if (!golden_check(t->c, b.status) ||
        !golden_check(t->c, mega_store_lay_out(&t->store, true)))
        return false;
    load(t);
    return !t->c->verdict && golden_check(t->c, golden_run_new(t->c, &t->run));
}

static void end(struct transformer_case *t)
{
    mega_run_free(t->run);
    mega_store_done(&t->store);
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
    golden_backward(t->c, r, mega_transformer_run(r, &t->model, ids, &rows), false);
    if (golden_check(t->c, mega_run_end(r))) compare_gradients(t);
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
