#include "golden/case.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int cfg_index(const struct golden_case *c, const char *key)
{
    char full[128];
    snprintf(full, sizeof full, "cfg.%s", key);
    return meta_index(c, full);
}

bool golden_has_cfg(const struct golden_case *c, const char *key)
{
    return cfg_index(c, key) >= 0;
}

const char *golden_cfg(struct golden_case *c, const char *key)
{
    int i = cfg_index(c, key);
    if (i < 0) return "";
    c->read[i] = true;
    return c->file->meta[i].value;
}

static bool is_none(const char *text)
{
    return !*text || !strcmp(text, "none") || !strcmp(text, "None");
}

int64_t golden_cfg_int(struct golden_case *c, const char *key, int64_t fallback)
{
    const char *text = golden_cfg(c, key);
    return is_none(text) ? fallback : strtoll(text, NULL, 10);
}

double golden_cfg_real(struct golden_case *c, const char *key, double fallback)
{
    const char *text = golden_cfg(c, key);
    return is_none(text) ? fallback : strtod(text, NULL);
}

bool golden_cfg_bool(struct golden_case *c, const char *key, bool fallback)
{
    const char *text = golden_cfg(c, key);
    return is_none(text) ? fallback : !strcmp(text, "True");
}

int golden_cfg_choice(
    struct golden_case *c, const char *key, const char *official, int fallback)
{
    const char *text = golden_cfg(c, key);
    if (is_none(text)) return fallback;
    int choice = mega_choice_find(official, text);
    if (choice < 0) golden_unsupported(c, "cfg.%s is %s", key, text);
    return choice < 0 ? fallback : choice;
}

void golden_cfg_expect(struct golden_case *c, const char *key, const char *value)
{
    const char *text = golden_cfg(c, key);
    if (*text && strcmp(text, value) != 0) golden_unsupported(c, "cfg.%s is %s", key, text);
}

/* ---- verdicts ---- */

static void judge(struct golden_case *c, int status, const char *format, va_list args)
{
    if (c->status) return;
    c->status = status;
    vsnprintf(c->result->reason, sizeof c->result->reason, format, args);
}

void golden_unsupported(struct golden_case *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    judge(c, GOLDEN_UNSUPPORTED, format, args);
    va_end(args);
}

void golden_fail(struct golden_case *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    judge(c, GOLDEN_FAILED, format, args);
    va_end(args);
}

bool golden_check(struct golden_case *c, mega_status status)
{
    if (status) golden_fail(c, "%s", mega_message());
    return !status;
}

/* ---- tensors ---- */

const struct mega_st_tensor *golden_find(const struct golden_case *c, const char *format, ...)
{
    char name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return mega_safetensors_find(c->file, name);
}

/* the place in the file of element i of a tensor of ours */
static int64_t file_index(const struct mega_st_tensor *t, int64_t i, bool time_first)
{
    if (!time_first || t->rank < 2) return i;
    int64_t T = t->dim[0], B = t->dim[1], rest = t->count / (T * B);
    int64_t b = i / (T * rest), time = i / rest % T;
    return (time * B + b) * rest + i % rest;
}

mega_tensor *golden_input(struct golden_case *c, mega_run *r, const char *name, bool time_first)
{
    const struct mega_st_tensor *t = golden_find(c, "in.%s", name);
    if (!t) return NULL;
    int64_t dim[MEGA_RANK] = { 0 };
    for (int i = 0; i < t->rank; i++) dim[i] = t->dim[i];
    if (time_first && t->rank > 1) {
        dim[0] = t->dim[1];
        dim[1] = t->dim[0];
    }
    bool whole = t->dtype[0] == 'I';
    mega_tensor *out = mega_run_tensor(r, whole ? MEGA_I32 : MEGA_F32, t->rank, dim);
    for (int64_t i = 0; out && i < t->count; i++) {
        int64_t at = file_index(t, i, time_first), width = mega_width(out);
        mega_put(out, i / width, i % width,
            whole ? (double)mega_st_int(t, at) : mega_st_real(t, at));
    }
    return out;
}

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
    double tolerance = gradient ? c->tol_grad : c->tol_out,
           scale = fmax(w->want, gradient ? c->grad_floor : 1e-3);
    double error = w->difference / scale;
    c->compared[t - c->file->tensor] = true;
    if (c->verbose) printf("    %-60s %.2e of %.2e\n", t->name, error, tolerance);
    if (!c->result->worst[0] || error / tolerance > c->result->error) {
        snprintf(c->result->worst, sizeof c->result->worst, "%.120s", t->name);
        c->result->error = error / tolerance;
    }
    if (error > tolerance)
        golden_fail(c, "%s: relative error %.3g, tolerance %.3g", t->name, error, tolerance);
}

void golden_compare(
    struct golden_case *c, const char *name, const mega_tensor *got, bool time_first)
{
    const struct mega_st_tensor *t = golden_find(c, "%s", name);
    if (!t || c->status) return;
    if (!got || mega_count(got) != t->count) {
        golden_fail(c, "%s has %lld values, ours %lld", name, (long long)t->count,
            got ? (long long)mega_count(got) : 0);
        return;
    }
    struct worst w = { 0 };
    for (int64_t i = 0, width = mega_width(got); i < t->count; i++)
        see(&w, mega_get(got, i / width, i % width),
            mega_st_real(t, file_index(t, i, time_first)));
    conclude(c, t, &w);
}

void golden_compare_numbers(
    struct golden_case *c, const char *name, const double *got, int64_t n)
{
    const struct mega_st_tensor *t = golden_find(c, "%s", name);
    if (!t || c->status) return;
    if (t->count != n) {
        golden_fail(
            c, "%s has %lld values, ours %lld", name, (long long)t->count, (long long)n);
        return;
    }
    struct worst w = { 0 };
    for (int64_t i = 0; i < n; i++)
        see(&w, got[i], t->dtype[0] == 'I' ? (double)mega_st_int(t, i) : mega_st_real(t, i));
    conclude(c, t, &w);
}

/* ---- parameters ---- */

static void load(struct golden_case *c, const char *prefix, const char *name, mega_tensor *to)
{
    const struct mega_st_tensor *t = golden_find(c, "param.%s%s", prefix, name);
    if (!t || t->count != mega_count(to)) {
        golden_fail(c, "param.%s%s is %s", prefix, name, t ? "of another size" : "missing");
        return;
    }
    for (int64_t i = 0, width = mega_width(to); i < t->count; i++)
        mega_put(to, i / width, i % width, mega_st_real(t, i));
}

void golden_load(struct golden_case *c, struct mega_store *s, const char *prefix)
{
    for (struct mega_param *p = s->first; p; p = p->next) load(c, prefix, p->name, &p->value);
    for (struct mega_cell *m = s->first_cell; m; m = m->next)
        if (m->kind == MEGA_CELL_MODEL) load(c, prefix, m->name, &m->value);
}

void golden_compare_gradients(
    struct golden_case *c, const struct mega_store *s, const char *prefix)
{
    for (const struct mega_param *p = s->first; p; p = p->next) {
        char name[512];
        snprintf(name, sizeof name, "grad.param.%s%s", prefix, p->name);
        golden_compare(c, name, &p->gradient, false);
    }
}

bool golden_ready(struct golden_case *c, mega_build *b, const char *prefix)
{
    if (!golden_check(c, b->status) || !golden_check(c, mega_store_lay_out(b->store, true)))
        return false;
    mega_store_fill(b->store, 1);
    golden_load(c, b->store, prefix);
    return !c->status;
}
