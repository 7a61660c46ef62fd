#include "golden/optim_case.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"
#include "optim/adam.h"
#include "optim/schedule.h"

static int unsupported(struct golden_result *r, const char *format, ...) MEGA_PRINTF(2, 3);

static int unsupported(struct golden_result *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->reason, sizeof r->reason, format, args);
    va_end(args);
    return GOLDEN_UNSUPPORTED;
}

static int refused(struct golden_result *r)
{
    return unsupported(r, "%s", mega_message());
}

static int broken(struct golden_result *r)
{
    snprintf(r->reason, sizeof r->reason, "%s", mega_message());
    return GOLDEN_FAILED;
}

static const char *meta(const struct mega_safetensors *s, const char *key)
{
    const char *text = mega_safetensors_meta(s, key);
    return text ? text : "";
}

static void note(struct golden_result *r, const char *name, double error)
{
    if (r->worst[0] && error <= r->error) return;
    snprintf(r->worst, sizeof r->worst, "%s", name);
    r->error = isnan(error) ? INFINITY : error;
}

static int verdict(const struct mega_safetensors *s, struct golden_result *r)
{
    double tolerance = strtod(meta(s, "tol_out_rel"), NULL);
    if (!r->worst[0]) return unsupported(r, "the case states no result to compare with");
    if (r->error <= tolerance) return GOLDEN_PASSED;
    snprintf(r->reason, sizeof r->reason, "%s: relative error %.3g, tolerance %.3g", r->worst,
        r->error, tolerance);
    return GOLDEN_FAILED;
}

/* ---- schedules ---- */

/* their flag, our key, and whether theirs is a factor on lr */
static const struct {
    const char *flag, *key;
    bool of_lr;
} flags[] = {
    { "lr", "lr", false },
    { "warmup_updates", "warmup", false },
    { "warmup_steps", "warmup", false },
    { "warmup", "warmup", false },
    { "warmup_init_lr", "warmup_init_lr", false },
    { "init_lr_scale", "warmup_init_lr", true },
    { "lr_init_ratio", "warmup_init_lr", true },
    { "warmup_power", "warmup_power", false },
    { "total_num_update", "steps", false },
    { "total_steps", "steps", false },
    { "end_learning_rate", "end_lr", false },
    { "min_lr", "end_lr", false },
    { "final_lr_scale", "end_lr", true },
    { "lr_end_ratio", "end_lr", true },
    { "power", "power", false },
    { "lr_period_updates", "period", false },
    { "lr_decay_steps", "period", false },
    { "t_mult", "t_mult", false },
    { "cycles", "cycles", false },
    { "lr_shrink", "lr_shrink", false },
    { "lr_decay_rate", "lr_shrink", false },
    { "milestones", "milestones", false },
    { "hold_steps", "hold_steps", false },
    { "decay_steps", "decay_steps", false },
    { "max_lr", "max_lr", false },
    { "shrink_min", "shrink_min", false },
};

/* "[20, 40]" or "20,40": the texts stay until the next case */
static int set_list(struct mega_schedule *to, const char *text)
{
    static char words[512];
    static const char *item[64];
    int n = 0;
    snprintf(words, sizeof words, "%s", text);
    for (char *word = strtok(words, "[], "); word && n < 64; word = strtok(NULL, "[], "))
        item[n++] = word;
    to->milestones = (struct mega_texts){ item, n };
    return GOLDEN_PASSED;
}

/* one metadata entry cfg.<flag> into the schedule */
static int set_flag(struct mega_schedule *to, double lr, const char *flag, const char *text,
    struct golden_result *r)
{
    char scaled[32];
    size_t n = sizeof flags / sizeof *flags;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(flags[i].flag, flag)) continue;
        if (flags[i].of_lr) {
            mega_real_print(lr * strtod(text, NULL), scaled);
            text = scaled;
        }
        /* Python's booleans */
        if (!strcmp(text, "True")) text = "true";
        if (!strcmp(text, "False")) text = "false";
        const struct mega_option *o = mega_option_find(mega_schedule_options, flags[i].key);
        if (o->type == MEGA_OPTION_TEXTS) return set_list(to, text);
        return mega_option_parse(o, flag, text, to) ? refused(r) : GOLDEN_PASSED;
    }
    return unsupported(r, "cfg.%s is not something that a schedule here knows", flag);
}

static int read_schedule(
    const struct mega_safetensors *s, struct mega_schedule *to, struct golden_result *r)
{
    const char *name = meta(s, "cfg.scheduler"),
               *most = mega_safetensors_meta(s, "cfg.max_update");
    bool megalodon = !strncmp(meta(s, "module"), "megalodon", 9);
    double lr = strtod(meta(s, "cfg.lr"), NULL);
    mega_option_defaults(mega_schedule_options, to);
    if (megalodon && !strcmp(name, "linear")) name = "linear_decay";
    if (mega_option_parse(
            mega_option_find(mega_schedule_options, "schedule"), "cfg.scheduler", name, to))
        return refused(r);
    for (int i = 0; i < s->n_meta; i++) {
        const char *key = s->meta[i].key;
        if (strncmp(key, "cfg.", 4) || !strcmp(key, "cfg.scheduler") ||
            !strcmp(key, "cfg.max_update"))
            continue;
        int bad = set_flag(to, lr, key + 4, s->meta[i].value, r);
        if (bad) return bad;
    }
    /* Megalodon's start ratio means nothing without a warm-up; fairseq's defaults of its own */
    if (megalodon && to->warmup == 0) to->warmup_init_lr = -1;
    if (!megalodon && !strcmp(name, "cosine") && to->period <= 0 && most)
        to->period = strtoll(most, NULL, 10) - (to->warmup > 0 ? to->warmup : 0);
    return mega_schedule_resolve(to, 1000000) ? refused(r) : GOLDEN_PASSED;
}

static int schedule_case(const struct mega_safetensors *s, struct golden_result *r)
{
    const struct mega_st_tensor *n = mega_safetensors_find(s, "in.num_updates");
    const struct mega_st_tensor *want = mega_safetensors_find(s, "out.lr");
    if (!n || !want || n->count != want->count)
        return unsupported(r, "expected in.num_updates and out.lr of one length");
    struct mega_schedule schedule;
    int bad = read_schedule(s, &schedule, r);
    if (bad) return bad;

    double tolerance = strtod(meta(s, "tol_out_rel"), NULL), worst = 0;
    for (int64_t i = 0; i < n->count; i++) {
        double value = mega_st_real(want, i);
        double got = mega_schedule_rate(&schedule, mega_st_int(n, i));
        /* the rule |got - want| <= tolerance |want| + 1e-12 as one relative error */
        worst = fmax(worst, fabs(got - value) / (fabs(value) + 1e-12 / tolerance));
    }
    note(r, "out.lr", worst);
    return verdict(s, r);
}

/* ---- updates ---- */

enum { TENSORS = 64 };

struct adam_case {
    const struct mega_safetensors *file;
    struct mega_adam adam;
    double lr;
    struct mega_span span[TENSORS];
    int n;
    int64_t size;
    struct mega_flat flat;
};

static const struct mega_st_tensor *numbered(
    const struct mega_safetensors *s, const char *name, int i, const char *tail, int step)
{
    char full[64];
    if (tail)
        snprintf(full, sizeof full, "%s%d%s%d", name, i, tail, step);
    else
        snprintf(full, sizeof full, "%s%d", name, i);
    return mega_safetensors_find(s, full);
}

static void compare(
    struct golden_result *r, const struct mega_st_tensor *want, const float *got)
{
    if (!want) return;
    double largest = 1e-3, error = 0;
    for (int64_t i = 0; i < want->count; i++) {
        double value = mega_st_real(want, i), off = fabs(got[i] - value);
        largest = fmax(largest, fabs(value));
        if (!(off <= error)) error = off;
    }
    note(r, want->name, error / largest);
}

static int read_adam(struct adam_case *c, struct golden_result *r)
{
    static const char *const known[] = { "beta1", "beta2", "eps", "weight_decay", "clip_norm",
        "clip_mode" };
    const char *module = meta(c->file, "module");
    mega_option_defaults(mega_adam_options, &c->adam);
    if (strstr(module, "torch.optim.AdamW"))
        c->adam.eps_rule = MEGA_EPS_PYTORCH;
    else if (!strstr(module, "fairseq.optim.adam"))
        return unsupported(r, "module %s is no Adam that is known here", module);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char key[32];
        snprintf(key, sizeof key, "cfg.%s", known[i]);
        const char *text = mega_safetensors_meta(c->file, key);
        const struct mega_option *o = mega_option_find(mega_adam_options, known[i]);
        if (text && mega_option_parse(o, key, text, &c->adam)) return refused(r);
    }
    c->lr = strtod(meta(c->file, "cfg.lr"), NULL);
    return GOLDEN_PASSED;
}

static int lay_out(struct adam_case *c, struct golden_result *r)
{
    const struct mega_st_tensor *p;
    for (; (p = numbered(c->file, "param.p", c->n, NULL, 0)); c->n++) {
        if (c->n == TENSORS) return unsupported(r, "more than %d tensors", TENSORS);
        c->span[c->n] =
            (struct mega_span){ .offset = c->size, .count = p->count, .rate = 1, .decay = 1 };
        c->size += p->count;
    }
    float *all = calloc((size_t)c->size * 4 + 1, sizeof *all);
    if (!all) return unsupported(r, "no memory for %lld values", (long long)c->size);
    c->flat = (struct mega_flat){ all, all + c->size, all + 2 * c->size, all + 3 * c->size };
    for (int i = 0; i < c->n; i++) {
        p = numbered(c->file, "param.p", i, NULL, 0);
        for (int64_t j = 0; j < p->count; j++)
            c->flat.value[c->span[i].offset + j] = (float)mega_st_real(p, j);
    }
    return GOLDEN_PASSED;
}

static void read_gradients(struct adam_case *c, int step)
{
    for (int i = 0; i < c->n; i++) {
        const struct mega_st_tensor *g = numbered(c->file, "in.grad", i, ".step", step);
        c->span[i].touched = g && g->count == c->span[i].count;
        for (int64_t j = 0; c->span[i].touched && j < g->count; j++)
            c->flat.grad[c->span[i].offset + j] = (float)mega_st_real(g, j);
    }
}

static int run_adam(struct adam_case *c, struct mega_work *work, struct golden_result *r)
{
    int steps = atoi(meta(c->file, "cfg.steps"));
    for (int step = 1; step <= steps; step++) {
        double norm;
        read_gradients(c, step);
        if (mega_grad_norm(work, c->flat.grad, 1, c->span, c->n,
                (enum mega_clip_mode)c->adam.clip_mode, &norm))
            return broken(r);
        mega_adam_step(work, &c->adam, c->lr, 1, norm, c->flat, c->span, c->n);

        char name[40];
        float norm32 = (float)norm;
        snprintf(name, sizeof name, "out.grad_norm.step%d", step);
        compare(r, mega_safetensors_find(c->file, name), &norm32);
        for (int i = 0; i < c->n; i++)
            compare(r, numbered(c->file, "out.p", i, ".step", step),
                c->flat.value + c->span[i].offset);
    }
    for (int i = 0; i < c->n; i++) {
        compare(r, numbered(c->file, "out.exp_avg", i, NULL, 0), c->flat.m + c->span[i].offset);
        compare(
            r, numbered(c->file, "out.exp_avg_sq", i, NULL, 0), c->flat.v + c->span[i].offset);
    }
    return verdict(c->file, r);
}

static int adam_case(const struct mega_safetensors *s, struct golden_result *r)
{
    struct adam_case c = { .file = s };
    struct mega_work work = { 0 };
    int result = read_adam(&c, r);
    if (!result) result = lay_out(&c, r);
    if (!result) result = mega_work_init(&work, 2) ? broken(r) : run_adam(&c, &work, r);
    mega_work_done(&work);
    free(c.flat.value);
    return result;
}

int golden_optim_case(const struct mega_safetensors *s, struct golden_result *r)
{
    *r = (struct golden_result){ 0 };
    return mega_safetensors_meta(s, "cfg.scheduler") ? schedule_case(s, r) : adam_case(s, r);
}
