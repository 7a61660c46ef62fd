/* Names, layouts and states of Megalodon's files, the official ones and those of the
 * pure-PyTorch port (section 2.1 of the specification). */
#include "golden/megalodon_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool megalodon_open(struct golden_case *c, struct megalodon_case *m, bool port)
{
    *m = (struct megalodon_case){ .c = c, .port = port };
    if (!golden_check(c, mega_store_init(&m->store))) return false;
    m->build.store = &m->store;
    m->opened = true;
    return golden_check(c, golden_run_new(c, &m->run));
}

void megalodon_close(struct megalodon_case *m)
{
    mega_run_free(m->run);
    if (m->opened) mega_store_done(&m->store);
}

/* ---- configuration ---- */

void megalodon_options(struct megalodon_case *m, struct mega_megalodon_options *o)
{
    struct golden_case *c = m->c;
    *o = (struct mega_megalodon_options){
        .width = golden_cfg_int(c, "model_dim", 0),
        .keys = golden_cfg_int(c, "z_dim", 0),
        .values = golden_cfg_int(c, "value_dim", 0),
        .heads = golden_cfg_int(c, "num_heads", 1),
        .hidden = golden_cfg_int(c, "ffn_hidden_dim", 0),
        .states = golden_cfg_int(c, "cema_ndim", 16),
        .chunk = golden_cfg_int(c, "chunk_size", 0),
        .groups = golden_cfg_int(c, "norm_num_groups", 1),
        .layer = golden_cfg_int(c, "layer_id", 0),
        .init = golden_cfg_choice(c, "init_mode", MEGA_MEGALODON_INIT_CHOICES, 0),
        .affine = golden_cfg_bool(c, "norm_affine", true),
        .swiglu = golden_cfg_bool(c, "swiglu", false),
        .rescale = golden_cfg_bool(c, "rescale_nffn", false),
        .port = m->port,
        .norm_eps = golden_cfg_real(c, "norm_eps", 1e-5),
        .rotary_base = golden_cfg_real(c, "rope_base", 10000),
    };
    golden_cfg_choice(c, "efficient_attn", "none|None", 0);
    golden_cfg_no_dropout(c);
    golden_cfg_expect(c, "rope_pairs", m->port ? "halves" : "interleaved");
    golden_cfg_expect(c, "rope_positions", "restart in every chunk");
    golden_cfg_expect(c, "attention_scale", "gamma carries 1/sqrt(head dim)");
    golden_cfg_expect(c, "mask_is", "1 = valid token");
    golden_cfg_int(c, "seq_len", 0);
    golden_cfg_int(c, "batch", 0);
}

/* ---- names ---- */

static const struct {
    const char *ours, *port;
} parts[] = {
    { "embed.weight", "model.embed.weight" },
    { "output.final_norm.", "model.norm." },
    { "output.output.weight", "lm_head.weight" },
    { "layers.", "model.layers." },
    { "mega.rmsnorm.weight", "attn.rmsnorm.gamma" },
    { "mega.", "attn." },
    { "nffn.", "ffn." },
};

/* one part of the name replaced, if it is there */
static void replace(char name[512], const char *from, const char *to)
{
    char *at = strstr(name, from), rest[512];
    if (!at) return;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, 512 - (size_t)(at - name), "%s%s", to, rest);
}

/* the port has complex numbers in two tensors */
static bool is_split(const struct megalodon_case *m, const struct mega_param *p)
{
    return m->port && p->value.rank == 3 && p->value.dim[2] == 2;
}

/* the file's name of a parameter, or of a half of it */
static void file_name(
    const struct megalodon_case *m, const struct mega_param *p, bool imaginary, char name[512])
{
    snprintf(name, 512, "%.500s%s", p->name,
        !is_split(m, p) ? ""
        : imaginary     ? "_imag"
                        : "_real");
    for (size_t i = 0; m->port && i < sizeof parts / sizeof *parts; i++)
        replace(name, parts[i].ours, parts[i].port);
}

/* ---- parameters and their gradients ---- */

static void load(struct megalodon_case *m, struct mega_param *p)
{
    int each = is_split(m, p) ? 2 : 1;
    for (int k = 0; k < each; k++) {
        char name[512];
        file_name(m, p, k, name);
        const struct mega_st_tensor *t = golden_find(m->c, "param.%s", name);
        if (!t || t->count != p->count / each) {
            golden_fail(m->c, "param.%s is %s", name, t ? "of another size" : "missing");
            return;
        }
        for (int64_t i = 0; i < t->count; i++)
            ((float *)p->value.data)[i * each + k] = (float)golden_value(t, i);
    }
}

/* "A=B": A is the same tensor as B, which is what we have */
static void accept_tied(struct golden_case *c)
{
    char name[128];
    const char *tied = golden_meta(c, "tied");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(tied, "="), tied);
    if (*name) golden_find(c, "param.%s", name);
}

bool megalodon_ready(struct megalodon_case *m)
{
    if (m->c->verdict || !golden_check(m->c, m->build.status) ||
        !golden_check(m->c, mega_store_lay_out(&m->store, true)))
        return false;
    for (struct mega_param *p = m->store.first; p; p = p->next) load(m, p);
    for (struct mega_cell *b = m->store.first_cell; b; b = b->next) {
        if (b->kind != MEGA_CELL_MODEL) continue;
        const struct mega_st_tensor *t = golden_find(m->c, "param.%s", b->name);
        if (!t || t->count != mega_count(&b->value))
            golden_fail(m->c, "param.%s is missing or of another size", b->name);
        for (int64_t i = 0; t && i < mega_count(&b->value); i++)
            mega_put(&b->value, 0, i, golden_value(t, i));
    }
    accept_tied(m->c);
    return !m->c->verdict;
}

static void compare_gradient(struct megalodon_case *m, const struct mega_param *p)
{
    int each = is_split(m, p) ? 2 : 1;
    double *got = calloc((size_t)p->count + 1, sizeof *got);
    for (int k = 0; k < each; k++) {
        char name[512], full[540];
        file_name(m, p, k, name);
        for (int64_t i = 0; i < p->count / each; i++)
            got[i] = (double)((const float *)p->gradient.data)[i * each + k];
        snprintf(full, sizeof full, "grad.param.%s", name);
        golden_compare_numbers(m->c, full, got, p->count / each);
    }
    free(got);
}

void megalodon_compare_gradients(struct megalodon_case *m)
{
    for (const struct mega_param *p = m->store.first; p; p = p->next) compare_gradient(m, p);
}

/* ---- states ---- */

void megalodon_compare_state(struct megalodon_case *m, const char *name, const mega_stream *s,
    const struct mega_cell *cell, int64_t n)
{
    const mega_tensor *value = mega_stream_value(s, cell);
    int64_t B = value->dim[0], each = mega_count(value) / B, width = mega_width(value);
    if (!n) n = each;
    double *got = calloc((size_t)(B * n) + 1, sizeof *got);
    for (int64_t i = 0; i < B * n; i++) {
        int64_t at = i / n * each + i % n;
        got[i] = mega_get(value, at / width, at % width);
    }
    golden_compare_numbers(m->c, name, got, B * n);
    free(got);
}

void megalodon_compare_states(struct megalodon_case *m, const char *prefix,
    const mega_stream *s, const struct mega_megalodon_attention *a)
{
    const struct {
        const char *name;
        const struct mega_cell *cell;
    } states[] = { { "count", a->timenorm.count }, { "mean", a->timenorm.mean },
        { "var", a->timenorm.var }, { "ema", a->cema.state } };
    for (int i = 0; i < 4; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", prefix, states[i].name);
        megalodon_compare_state(m, name, s, states[i].cell, 0);
    }
}

/* ---- inputs ---- */

const int32_t *megalodon_real(struct megalodon_case *m)
{
    mega_tensor *padding = golden_input(m->c, m->run, "padding_mask", false),
                *valid = golden_input(m->c, m->run, "valid", false);
    for (int64_t i = 0; padding && i < mega_count(padding); i++)
        ((int32_t *)padding->data)[i] = !((int32_t *)padding->data)[i];
    mega_tensor *real = padding ? padding : valid;
    return real ? real->data : NULL;
}

mega_tensor *megalodon_turned(mega_run *r, const mega_tensor *x)
{
    int64_t B = x->dim[0], m = x->dim[1], n = x->dim[2];
    mega_tensor *y = mega_run_tensor(r, MEGA_F32, 3, (int64_t[]){ B, n, m });
    for (int64_t i = 0; y && i < B * m * n; i++)
        mega_put(y, i / m, i % m, mega_get(x, i / (m * n) * m + i % m, i / m % n));
    return y;
}
