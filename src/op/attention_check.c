#include "op/attention_check.h"

#include <math.h>

#include "op/heads.h"
#include "op/window.h"

enum { Q = MEGA_ATTENTION_Q, K, V };

typedef long long number; /* as messages print it */

/* ---- what is there ---- */

static bool mixes(const struct mega_call *c)
{
    return c->in[MEGA_ATTENTION_TALK_PRE] || c->in[MEGA_ATTENTION_TALK_POST] ||
           c->in[MEGA_ATTENTION_TALK_SCALED];
}

const char *mega_attention_needs_strips(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    if (mixes(c)) return "heads that are mixed (talking heads)";
    if (c->in[MEGA_ATTENTION_COPE]) return "contextual positions (cope)";
    if (c->in[MEGA_ATTENTION_BEFORE] || a->scores) return "scores of other layers (residual)";
    if (a->selective) return "selective attention";
    if (c->in[MEGA_ATTENTION_GATE_Q]) return "forgetting row by row";
    return a->weights ? "weights given out" : NULL;
}

int64_t mega_attention_prefix(const struct mega_call *c)
{
    return mega_dim(c->in[MEGA_ATTENTION_PREFIX_K], 1);
}

int64_t mega_attention_columns(const struct mega_call *c)
{
    return mega_attention_prefix(c) + mega_dim(c->in[MEGA_ATTENTION_PAST_K], 1) +
           mega_window_keys(c)->T;
}

/* ---- attributes ---- */

static mega_status check_heads(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    struct mega_heads n = mega_heads_of(c);
    if (a->heads < 0 || a->kv_heads < 0 || n.H % n.G)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: %lld heads and %lld heads of keys and values, expected a multiple of "
            "the latter",
            (number)a->heads, (number)a->kv_heads);
    return MEGA_OK;
}

static mega_status check_number(const char *name, double x)
{
    if (x >= 0 && !isinf(x)) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "attention: %s is %g, expected a positive number, or 0 for the default", name, x);
}

static mega_status check_count(const char *name, int64_t n)
{
    if (n >= 0) return MEGA_OK;
    return mega_fail(
        MEGA_BAD_ARGUMENT, "attention: %s is %lld, expected 0 (none) or more", name, (number)n);
}

static mega_status check_numbers(const struct mega_attr_attention *a)
{
    MEGA_TRY(check_number("scale", a->scale));
    MEGA_TRY(check_number("clamp", a->clamp));
    MEGA_TRY(check_number("temperature", a->temperature));
    MEGA_TRY(check_count("reach", a->reach));
    MEGA_TRY(check_count("prefix", a->prefix));
    MEGA_TRY(check_count("zeros", a->zeros));
    MEGA_TRY(check_count("segment", a->segment));
    MEGA_TRY(check_count("memory", a->memory));
    if (!isfinite(a->sigmoid_bias))
        return mega_fail(MEGA_BAD_ARGUMENT, "attention: sigmoid_bias is %g: expected a number",
            a->sigmoid_bias);
    if (a->chunk == 0 || a->chunk < -1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: chunk is %lld, expected a length or -1 for none", (number)a->chunk);
    if (a->fn == MEGA_ATTENTION_TOPK && a->top < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: top is %lld, expected how many keys topk keeps, at least 1",
            (number)a->top);
    return MEGA_OK;
}

/* ---- what does not go together ---- */

static mega_status apart(const char *one, const char *other, const char *why)
{
    return mega_fail(
        MEGA_BAD_ARGUMENT, "attention: %s does not go with %s: %s", one, other, why);
}

static mega_status check_function(const struct mega_call *c)
{
    static const char *const name[] = { "softmax", "laplace", "relu2", "sigmoid", "topk",
        "hard", "cog", "gumbel", "inverted" };
    const struct mega_attr_attention *a = c->attr;
    enum mega_attention_fn fn = a->fn;
    bool rows = fn != MEGA_ATTENTION_LAPLACE && fn != MEGA_ATTENTION_RELU2 &&
                fn != MEGA_ATTENTION_SIGMOID && fn != MEGA_ATTENTION_INVERTED;
    if (!rows && c->in[MEGA_ATTENTION_SINK])
        return apart(name[fn], "sinks", "no row's sum has a place for them");
    if (!rows && a->zeros)
        return apart(name[fn], "zero slots", "no row's sum has a place for them");
    if (a->l2 && fn != MEGA_ATTENTION_SOFTMAX)
        return apart(name[fn], "l2 scores", "only softmax takes distances");
    if (a->through && fn != MEGA_ATTENTION_TOPK && fn != MEGA_ATTENTION_GUMBEL)
        return apart(name[fn], "through", "only topk and gumbel have a straight-through form");
    if (fn == MEGA_ATTENTION_INVERTED && a->causal)
        return apart("inverted", "causal attention", "a key is shared out among all queries");
    if (fn == MEGA_ATTENTION_INVERTED && c->in[MEGA_ATTENTION_PAST_K])
        return apart("inverted", "a stream", "a key is shared out among all queries");
    return MEGA_OK;
}

static mega_status check_features(const struct mega_call *c)
{
    const struct mega_attr_attention *a = c->attr;
    const char *strips = mega_attention_needs_strips(c);
    if (a->exec == MEGA_ATTENTION_FUSED && strips)
        return apart(
            "exec fused", strips, "they need whole rows of scores: exec auto or strip");
    MEGA_TRY(check_function(c));
    if (c->in[MEGA_ATTENTION_COPE] && !a->causal)
        return apart("cope", "attention that is not causal", "it counts back from the query");
    if (a->selective && !a->causal)
        return apart("selective", "attention that is not causal", "later queries lose keys");
    if (a->selective && c->in[MEGA_ATTENTION_PAST_K] && !c->in[MEGA_ATTENTION_PAST_FADED])
        return apart("selective", "a stream", "it needs what has faded of the past, too");
    if (c->in[MEGA_ATTENTION_PAST_FADED] && !a->selective)
        return apart("past_faded", "attention that is not selective", "nothing fades");
    if (c->in[MEGA_ATTENTION_GATE_Q] && !a->causal)
        return apart("gates of rows", "attention that is not causal",
            "they forget what lies before the query");
    if (a->segment && (!a->causal || a->chunk > 0 || c->keys || c->in[MEGA_ATTENTION_PAST_K]))
        return apart("segments", "windows, streams, other keys or sight of the future",
            "they are parts of a whole text");
    if (a->log_sum && a->fn != MEGA_ATTENTION_SOFTMAX)
        return apart("log_sum", "functions other than softmax", "they have no such sum");
    if (a->weights && (c->in[MEGA_ATTENTION_PAST_K] || c->rows->doc))
        return apart("weights", "streams and documents", "their windows have no common shape");
    if (c->keys && c->in[MEGA_ATTENTION_PAST_K])
        return apart("a past", "keys of other rows", "it ends where the call's own rows begin");
    return MEGA_OK;
}

/* ---- shapes ---- */

/* B rows of so many places, each of `heads` heads; of d columns each, -1: of any number */
static bool has_shape(const mega_tensor *t, int64_t B, int64_t places, int64_t heads, int64_t d)
{
    return t->rank == 3 && t->dim[0] == B && t->dim[1] == places &&
           (d >= 0 ? t->dim[2] == heads * d : t->dim[2] % heads == 0);
}

static mega_status check_rows(
    const struct mega_call *c, const char *name, int i, int64_t places, int64_t width)
{
    if (!c->in[i] || has_shape(c->in[i], c->rows->B, places, 1, width)) return MEGA_OK;
    return mega_op_refuse(c, name, c->in[i], "[%lld, %lld, %lld]", (number)c->rows->B,
        (number)places, (number)width);
}

/* a parameter [rows, columns]; rows 1 may be left out, columns -1: any number */
static mega_status check_table(
    const struct mega_call *c, const char *name, int i, int64_t rows, int64_t columns)
{
    const mega_tensor *t = c->in[i];
    if (!t) return MEGA_OK;
    int64_t width = mega_width(t);
    if (mega_height(t) == rows && (columns < 0 ? width > 0 : width == columns)) return MEGA_OK;
    if (columns < 0) return mega_op_refuse(c, name, t, "[%lld, any number]", (number)rows);
    return mega_op_refuse(c, name, t, "[%lld, %lld]", (number)rows, (number)columns);
}

/* both or neither */
static mega_status check_pair(const struct mega_call *c, const char *name, int k, int v)
{
    if ((c->in[k] != NULL) == (c->in[v] != NULL)) return MEGA_OK;
    return mega_op_refuse(
        c, name, c->in[k] ? c->in[k] : c->in[v], "both keys and values, or neither");
}

static mega_status check_past(const struct mega_call *c, const struct mega_heads *n)
{
    const mega_tensor *k = c->in[MEGA_ATTENTION_PAST_K], *v = c->in[MEGA_ATTENTION_PAST_V];
    MEGA_TRY(check_pair(c, "the past", MEGA_ATTENTION_PAST_K, MEGA_ATTENTION_PAST_V));
    if (!k) return MEGA_OK;
    int64_t B = c->rows->B, P = mega_dim(k, 1);
    if (!has_shape(k, B, P, n->G, n->d))
        return mega_op_refuse(
            c, "past_k", k, "[%lld, places, %lld]", (number)B, (number)(n->G * n->d));
    if (!has_shape(v, B, P, n->G, n->dv))
        return mega_op_refuse(
            c, "past_v", v, "[%lld, %lld, %lld]", (number)B, (number)P, (number)(n->G * n->dv));
    if (c->in[MEGA_ATTENTION_DECAY] && !c->in[MEGA_ATTENTION_PAST_DECAY])
        return apart("decay", "a stream", "it needs the past's too");
    MEGA_TRY(check_rows(c, "past_faded", MEGA_ATTENTION_PAST_FADED, P, 1));
    return check_rows(c, "past_decay", MEGA_ATTENTION_PAST_DECAY, P, n->H);
}

/* gates of rows: heads of any width */
static mega_status check_gates(const struct mega_call *c, const struct mega_heads *n)
{
    const mega_tensor *q = c->in[MEGA_ATTENTION_GATE_Q],
                      *past = c->in[MEGA_ATTENTION_PAST_GATE_K];
    MEGA_TRY(check_pair(c, "gates of rows", MEGA_ATTENTION_GATE_Q, MEGA_ATTENTION_GATE_K));
    if (past && !q) return apart("past_gate_k", "no gates", "they need those of this call");
    if (!q) return MEGA_OK;
    if (c->in[MEGA_ATTENTION_PAST_K] && !past)
        return apart("gates of rows", "a stream", "they need the past's keys too");
    int64_t width = mega_width(q);
    if (width < 1 || !has_shape(q, c->rows->B, c->rows->T, n->H, -1))
        return mega_op_refuse(c, "gate_q", q, "[%lld, %lld, a multiple of %lld]",
            (number)c->rows->B, (number)c->rows->T, (number)n->H);
    MEGA_TRY(check_rows(c, "gate_k", MEGA_ATTENTION_GATE_K, mega_window_keys(c)->T, width));
    return check_rows(c, "past_gate_k", MEGA_ATTENTION_PAST_GATE_K,
        mega_dim(c->in[MEGA_ATTENTION_PAST_K], 1), width);
}

static mega_status check_prefix(const struct mega_call *c, const struct mega_heads *n)
{
    const mega_tensor *k = c->in[MEGA_ATTENTION_PREFIX_K], *v = c->in[MEGA_ATTENTION_PREFIX_V];
    MEGA_TRY(check_pair(c, "the prefix", MEGA_ATTENTION_PREFIX_K, MEGA_ATTENTION_PREFIX_V));
    if (!k) return MEGA_OK;
    if (k->rank != 3 || k->dim[0] != n->G || k->dim[2] != n->d)
        return mega_op_refuse(
            c, "prefix_k", k, "[%lld, any number, %lld]", (number)n->G, (number)n->d);
    if (v->rank != 3 || v->dim[0] != n->G || v->dim[1] != k->dim[1] || v->dim[2] != n->dv)
        return mega_op_refuse(c, "prefix_v", v, "[%lld, %lld, %lld]", (number)n->G,
            (number)k->dim[1], (number)n->dv);
    return MEGA_OK;
}

static mega_status check_decay(const struct mega_call *c, const struct mega_heads *n)
{
    int64_t T = c->rows->T, S = mega_window_keys(c)->T;
    bool decay = c->in[MEGA_ATTENTION_DECAY], keys = c->in[MEGA_ATTENTION_DECAY_K];
    if (keys && !decay) return apart("decay_k", "no decay", "the queries need theirs");
    if (decay && !keys && S != T)
        return apart("decay", "keys of other places", "these need a decay_k");
    if (c->in[MEGA_ATTENTION_DECAY_BACK] && S != T)
        return apart("decay_back", "keys of other places", "both have one running sum");
    MEGA_TRY(check_rows(c, "decay", MEGA_ATTENTION_DECAY, T, n->H));
    MEGA_TRY(check_rows(c, "decay_k", MEGA_ATTENTION_DECAY_K, S, n->H));
    return check_rows(c, "decay_back", MEGA_ATTENTION_DECAY_BACK, S, n->H);
}

/* what is added to scores by their places */
static mega_status check_added(const struct mega_call *c, const struct mega_heads *n)
{
    const mega_tensor *bias = c->in[MEGA_ATTENTION_BIAS];
    const mega_tensor *share = c->in[MEGA_ATTENTION_SHARE], *bank = c->in[MEGA_ATTENTION_BANK];
    if (bias && mega_height(bias) > 1)
        MEGA_TRY(check_table(c, "bias", MEGA_ATTENTION_BIAS, n->H, -1));
    if (bias && mega_window_most(c) > (mega_width(bias) + 1) / 2)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "attention: a window of %lld places, but the relative bias covers %lld: raise the "
            "model's longest length or use chunks",
            (number)mega_window_most(c), (number)(mega_width(bias) + 1) / 2);
    if ((share != NULL) != (bank != NULL))
        return mega_op_refuse(
            c, "share or bank", share ? share : bank, "both of them, or neither");
    if (share && (mega_height(bank) % n->H || mega_width(share) != mega_height(bank)))
        MEGA_TRY(
            check_rows(c, "share", MEGA_ATTENTION_SHARE, c->rows->T, n->H * mega_height(bank)));
    if (share)
        MEGA_TRY(check_rows(c, "share", MEGA_ATTENTION_SHARE, c->rows->T, mega_width(share)));
    MEGA_TRY(check_decay(c, n));
    MEGA_TRY(check_gates(c, n));
    MEGA_TRY(check_table(c, "talk_pre", MEGA_ATTENTION_TALK_PRE, n->H, n->H));
    MEGA_TRY(check_table(c, "talk_post", MEGA_ATTENTION_TALK_POST, n->H, n->H));
    MEGA_TRY(check_table(c, "talk_scaled", MEGA_ATTENTION_TALK_SCALED, n->H, n->H));
    MEGA_TRY(check_table(c, "sink", MEGA_ATTENTION_SINK, 1, n->H));
    const mega_tensor *cope = c->in[MEGA_ATTENTION_COPE],
                      *before = c->in[MEGA_ATTENTION_BEFORE];
    if (cope && (cope->rank != 2 || mega_width(cope) != n->d || !cope->dim[0]))
        return mega_op_refuse(c, "cope", cope, "[positions, %lld]", (number)n->d);
    int64_t M = mega_attention_columns(c);
    if (before &&
        (before->rank != 4 || before->dim[0] != c->rows->B || before->dim[1] != n->H ||
            before->dim[2] != c->rows->T || before->dim[3] != M))
        return mega_op_refuse(c, "before", before, "[%lld, %lld, %lld, %lld]",
            (number)c->rows->B, (number)n->H, (number)c->rows->T, (number)M);
    return MEGA_OK;
}

mega_status mega_attention_call_check(const struct mega_call *c)
{
    const mega_tensor *q = c->in[Q], *k = c->in[K], *v = c->in[V];
    int64_t B = c->rows->B, T = c->rows->T, S = mega_window_keys(c)->T;
    MEGA_TRY(check_heads(c));
    MEGA_TRY(check_numbers(c->attr));
    struct mega_heads n = mega_heads_of(c);
    if (mega_window_keys(c)->B != B)
        return mega_fail(MEGA_BAD_ARGUMENT, "attention: %lld rows of queries, %lld of keys",
            (number)B, (number)mega_window_keys(c)->B);
    if (!has_shape(q, B, T, n.H, -1))
        return mega_op_refuse(
            c, "q", q, "[%lld, %lld, a multiple of %lld]", (number)B, (number)T, (number)n.H);
    if (!has_shape(k, B, S, n.G, n.d))
        return mega_op_refuse(
            c, "k", k, "[%lld, %lld, %lld]", (number)B, (number)S, (number)(n.G * n.d));
    if (!has_shape(v, B, S, n.G, -1))
        return mega_op_refuse(
            c, "v", v, "[%lld, %lld, a multiple of %lld]", (number)B, (number)S, (number)n.G);
    MEGA_TRY(check_features(c));
    MEGA_TRY(check_past(c, &n));
    MEGA_TRY(check_prefix(c, &n));
    return check_added(c, &n);
}
