#include "golden/case.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/contracts.h"

/* ---- configuration ---- */

static int meta_index(const struct golden_case *c, const char *key)
{
    for (int i = 0; i < c->file->n_meta; i++)
        if (!strcmp(c->file->meta[i].key, key)) return i;
    return -1;
}

const char *golden_meta(const struct golden_case *c, const char *key)
{
    int i = meta_index(c, key);
    return i < 0 ? "" : c->file->meta[i].value;
}

const char *golden_cfg(struct golden_case *c, const char *key)
{
    char name[64], full[80];
    for (int i = 0; mega_choice_name(key, i, name, sizeof name) >= 0; i++) {
        snprintf(full, sizeof full, "cfg.%s", name);
        int at = meta_index(c, full);
        if (at < 0) continue;
        c->read[at] = true;
        return c->file->meta[at].value;
    }
    return "";
}

static bool is_none(const char *text)
{
    return !*text || !strcmp(text, "none") || !strcmp(text, "None");
}

static void refuse_value(struct golden_case *c, const char *key, const char *text)
{
    golden_unsupported(c, "cfg.%s is %s", key, text);
}

int64_t golden_cfg_int(struct golden_case *c, const char *key, int64_t fallback)
{
    const char *text = golden_cfg(c, key);
    char *end;
    int64_t value = strtoll(text, &end, 10);
    if (is_none(text)) return fallback;
    if (*end) refuse_value(c, key, text);
    return value;
}

double golden_cfg_real(struct golden_case *c, const char *key, double fallback)
{
    const char *text = golden_cfg(c, key);
    char *end;
    double value = strtod(text, &end);
    if (is_none(text)) return fallback;
    if (*end) refuse_value(c, key, text);
    return value;
}

bool golden_cfg_bool(struct golden_case *c, const char *key, bool fallback)
{
    const char *text = golden_cfg(c, key);
    if (is_none(text)) return fallback;
    bool value = !strcmp(text, "True");
    if (!value && strcmp(text, "False") != 0) refuse_value(c, key, text);
    return value;
}

int golden_cfg_choice(
    struct golden_case *c, const char *key, const char *official, int fallback)
{
    const char *text = golden_cfg(c, key);
    if (is_none(text)) return fallback;
    int choice = mega_choice_find(official, text);
    if (choice < 0) refuse_value(c, key, text);
    return choice < 0 ? fallback : choice;
}

int golden_cfg_act(struct golden_case *c, const char *key, int fallback)
{
    if (!strcmp(golden_cfg(c, key), "gelu_fast")) return MEGA_ACT_GELU_TANH;
    return golden_cfg_choice(c, key, "linear|relu|gelu|gelu_accurate|silu", fallback);
}

int golden_cfg_norm(struct golden_case *c)
{
    return golden_cfg_choice(
        c, "norm_type|normalization_type", MEGA_NORM_CHOICES, MEGA_LAYERNORM);
}

void golden_cfg_expect(struct golden_case *c, const char *key, const char *value)
{
    const char *text = golden_cfg(c, key);
    if (!*text || !strcmp(text, value)) return;
    char *end, *end_value;
    bool same = strtod(text, &end) == strtod(value, &end_value);
    if (!same || *end || *end_value) refuse_value(c, key, text);
}

void golden_cfg_complete(struct golden_case *c)
{
    for (int i = 0; i < c->file->n_meta; i++)
        if (!strncmp(c->file->meta[i].key, "cfg.", 4) && !c->read[i])
            golden_unsupported(c, "%s is not known", c->file->meta[i].key);
}

void golden_cfg_no_dropout(struct golden_case *c)
{
    static const char *const names[] = { "dropout", "attention_dropout", "hidden_dropout",
        "act_dropout", "activation_dropout" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        golden_cfg_expect(c, names[i], "0");
    golden_cfg_expect(c, "feature_dropout", "False");
}

/* ---- verdicts ---- */

static void settle(
    struct golden_case *c, enum golden_verdict verdict, const char *format, va_list args)
{
    if (c->verdict) return;
    c->verdict = verdict;
    vsnprintf(c->reason, sizeof c->reason, format, args);
}

void golden_unsupported(struct golden_case *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    settle(c, GOLDEN_UNSUPPORTED, format, args);
    va_end(args);
}

void golden_fail(struct golden_case *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    settle(c, GOLDEN_FAILED, format, args);
    va_end(args);
}

bool golden_check(struct golden_case *c, mega_status status)
{
    if (status) golden_fail(c, "%s", mega_message());
    return !status;
}

void golden_judge(struct golden_case *c, const struct mega_st_tensor *t, double error,
    double tolerance, const char *where)
{
    c->compared[t - c->file->tensor] = true;
    if (c->verbose) printf("    %-60s %.2e of %.2e\n", t->name, error, tolerance);
    double share = isnan(error) ? INFINITY : error / tolerance;
    if (!(share > c->worst)) return;
    c->worst = share;
    snprintf(c->worst_reason, sizeof c->worst_reason,
        "%.120s%s: relative error %.3g, tolerance %.3g", t->name, where, error, tolerance);
}

/* ---- tensors ---- */

const struct mega_st_tensor *golden_find(struct golden_case *c, const char *format, ...)
{
    char name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const struct mega_st_tensor *t = mega_safetensors_find(c->file, name);
    if (t) c->used[t - c->file->tensor] = true;
    return t;
}

/* the place in the file of element i of a tensor of ours */
static int64_t file_index(const struct mega_st_tensor *t, int64_t i, bool time_first)
{
    if (!time_first || t->rank < 2) return i;
    int64_t T = t->dim[0], B = t->dim[1], rest = t->count / (T * B);
    int64_t b = i / (T * rest), time = i / rest % T;
    return (time * B + b) * rest + i % rest;
}

double golden_value(const struct mega_st_tensor *t, int64_t i)
{
    return t->dtype[0] == 'I' ? (double)mega_st_int(t, i) : mega_st_real(t, i);
}

/* the file's dimensions as ours */
static void our_shape(const struct mega_st_tensor *t, bool time_first, int64_t dim[MEGA_RANK])
{
    for (int i = 0; i < t->rank && i < MEGA_RANK; i++) dim[i] = t->dim[i];
    if (!time_first || t->rank < 2) return;
    dim[0] = t->dim[1];
    dim[1] = t->dim[0];
}

static bool same_shape(const struct mega_st_tensor *t, const mega_tensor *ours, bool time_first)
{
    int64_t dim[MEGA_RANK] = { 0 };
    our_shape(t, time_first, dim);
    return t->rank == ours->rank && !memcmp(dim, ours->dim, (size_t)t->rank * sizeof *dim);
}

/* raw numbers and states, which have no rank of [B, T, D], are exact */
static mega_dtype input_type(const struct golden_case *c, const struct mega_st_tensor *t)
{
    return t->rank == 3 ? c->dtype : MEGA_F32;
}

mega_status golden_run_new(struct golden_case *c, mega_run **out)
{
    MEGA_TRY(mega_run_new(out, c->context));
    mega_run_set_dtype(*out, c->dtype);
    return MEGA_OK;
}

mega_tensor *golden_input(struct golden_case *c, mega_run *r, const char *name, bool time_first)
{
    const struct mega_st_tensor *t = golden_find(c, "in.%s", name);
    if (!t) return NULL;
    if (t->rank > MEGA_RANK) {
        golden_unsupported(c, "%s has %d dimensions", t->name, t->rank);
        return NULL;
    }
    int64_t dim[MEGA_RANK] = { 0 };
    our_shape(t, time_first, dim);
    mega_tensor *out =
        mega_run_tensor(r, t->dtype[0] == 'I' ? MEGA_I32 : input_type(c, t), t->rank, dim);
    for (int64_t i = 0, width = out ? mega_width(out) : 0; out && i < t->count; i++)
        mega_put(out, i / width, i % width, golden_value(t, file_index(t, i, time_first)));
    return out;
}

static void load(struct golden_case *c, const char *name, mega_tensor *to)
{
    const struct mega_st_tensor *t = golden_find(c, "param.%s", name);
    char shape[96];
    if (!t || !same_shape(t, to, false)) {
        golden_fail(c, "param.%s is %s, expected %s", name, t ? "of another shape" : "missing",
            mega_tensor_print(to, shape));
        return;
    }
    for (int64_t i = 0, width = mega_width(to); i < t->count; i++)
        mega_put(to, i / width, i % width, golden_value(t, i));
}

void golden_load(struct golden_case *c, struct mega_store *s)
{
    for (struct mega_param *p = s->first; p; p = p->next) load(c, p->name, &p->value);
    for (struct mega_cell *m = s->first_cell; m; m = m->next)
        if (m->kind == MEGA_CELL_MODEL) load(c, m->name, &m->value);
}

bool golden_ready(struct golden_case *c, mega_build *b)
{
    if (c->verdict || !golden_check(c, b->status) ||
        !golden_check(c, mega_store_lay_out(b->store, true)))
        return false;
    golden_load(c, b->store);
    return !c->verdict;
}

/* ---- comparisons ---- */

struct worst {
    double want, difference;
};

static void see(struct worst *w, double got, double want)
{
    double d = fabs(got - want);
    if (!(d <= w->difference)) w->difference = isnan(d) ? INFINITY : d;
    if (fabs(want) > w->want) w->want = fabs(want);
}

/* the tolerance rule of the reference files: per tensor, relative to its largest value or the
 * floor */
static void conclude(
    struct golden_case *c, const struct mega_st_tensor *t, const struct worst *w)
{
    bool gradient = !strncmp(t->name, "grad.", 5);
    double scale = fmax(w->want, gradient ? c->grad_floor : 1e-3);
    /* without any gradient in the file the scale is 0 and nothing but 0 will do */
    double error = w->difference > 0 ? w->difference / scale : 0;
    golden_judge(c, t, error, gradient ? c->tol_grad : c->tol_out, "");
}

void golden_compare(
    struct golden_case *c, const char *name, const mega_tensor *got, bool time_first)
{
    const struct mega_st_tensor *t = golden_find(c, "%s", name);
    char shape[96];
    if (!t || c->verdict) return;
    if (!got || !same_shape(t, got, time_first)) {
        golden_fail(c, "%s: ours is %s, of another shape", name,
            got ? mega_tensor_print(got, shape) : "missing");
        return;
    }
    struct worst w = { 0 };
    for (int64_t i = 0, width = mega_width(got); i < t->count; i++)
        see(&w, mega_get(got, i / width, i % width),
            golden_value(t, file_index(t, i, time_first)));
    conclude(c, t, &w);
}

void golden_compare_numbers(
    struct golden_case *c, const char *name, const double *got, int64_t n)
{
    const struct mega_st_tensor *t = golden_find(c, "%s", name);
    if (!t || c->verdict) return;
    if (t->count != n) {
        golden_fail(
            c, "%s has %lld values, ours %lld", name, (long long)t->count, (long long)n);
        return;
    }
    struct worst w = { 0 };
    for (int64_t i = 0; i < n; i++) see(&w, got[i], golden_value(t, i));
    conclude(c, t, &w);
}

void golden_compare_gradients(struct golden_case *c, const struct mega_store *s)
{
    for (const struct mega_param *p = s->first; p; p = p->next) {
        char name[512];
        snprintf(name, sizeof name, "grad.param.%s", p->name);
        golden_compare(c, name, &p->gradient, false);
    }
}

void golden_compare_running(struct golden_case *c, const struct mega_store *s)
{
    for (const struct mega_cell *m = s->first_cell; m; m = m->next) {
        if (m->kind != MEGA_CELL_MODEL) continue;
        const char *leaf = strrchr(m->name, '.');
        char name[512];
        snprintf(name, sizeof name, "out.%s", m->name);
        golden_compare(c, name, &m->value, false);
        snprintf(name, sizeof name, "out.%s", leaf ? leaf + 1 : m->name);
        golden_compare(c, name, &m->value, false);
    }
}

void golden_backward(struct golden_case *c, mega_run *r, mega_tensor *y, bool time_first)
{
    mega_tensor *cotangent = golden_input(c, r, "cotangent", time_first);
    if (!cotangent) golden_fail(c, "in.cotangent is missing");
    if (!y || !cotangent) return;
    golden_compare(c, "out.y", y, time_first);
    mega_run_seed_with(r, y, cotangent);
    mega_run_backward(r);
}
