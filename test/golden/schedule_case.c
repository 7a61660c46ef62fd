/* Cases of learning-rate schedules, fairseq's and Megalodon's. */
#include "golden/schedule_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"

/* fairseq's default of --total-num-update */
enum { FAIRSEQ_UPDATES = 1000000 };

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

/* what our option table refuses is unsupported */
static void set(
    struct golden_case *c, struct mega_schedule *to, const char *key, const char *text)
{
    const struct mega_option *o = mega_option_find(mega_schedule_options, key);
    if (mega_option_parse(o, key, text, to)) golden_unsupported(c, "%s", mega_message());
}

/* "[20, 40]" or "20,40" */
static void set_milestones(struct golden_rates *to, const char *text)
{
    int n = 0;
    snprintf(to->milestones, sizeof to->milestones, "%s", text);
    for (char *word = strtok(to->milestones, "[], "); word && n < 64;
         word = strtok(NULL, "[], "))
        to->milestone[n++] = word;
    to->schedule.milestones = (struct mega_texts){ to->milestone, n };
}

static void set_flag(struct golden_case *c, struct golden_rates *to, size_t i, double lr)
{
    const char *text = golden_cfg(c, flags[i].flag);
    char scaled[32];
    if (!*text || !strcmp(text, "none") || !strcmp(text, "None")) return;
    if (!strcmp(flags[i].key, "milestones")) {
        set_milestones(to, text);
        return;
    }
    if (flags[i].of_lr) {
        mega_real_print(lr * strtod(text, NULL), scaled);
        text = scaled;
    }
    /* Python's booleans; fairseq's sign for a period that the run's length decides */
    if (!strcmp(text, "True")) text = "true";
    if (!strcmp(text, "False")) text = "false";
    if (!strcmp(flags[i].key, "period") && strtod(text, NULL) < 0) return;
    set(c, &to->schedule, flags[i].key, text);
}

bool golden_rates_read(
    struct golden_case *c, struct golden_rates *to, const char *kind_key, int64_t updates)
{
    struct mega_schedule *s = &to->schedule;
    const char *kind = golden_cfg(c, kind_key);
    const char *module = golden_meta(c, "module");
    bool megalodon = strstr(module, "megalodon") || strstr(module, "Megalodon");
    mega_option_defaults(mega_schedule_options, s);
    if (megalodon && !strcmp(kind, "linear")) kind = "linear_decay";
    set(c, s, "schedule", kind);
    double lr = golden_cfg_real(c, "lr", 0);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) set_flag(c, to, i, lr);
    /* Megalodon's start ratio means nothing without a warm-up; a fairseq cosine without a
     * period falls once over the whole run */
    if (megalodon && s->warmup == 0) s->warmup_init_lr = -1;
    if (!megalodon && !strcmp(kind, "cosine") && s->period <= 0 && updates > 0)
        s->period = updates - (s->warmup > 0 ? s->warmup : 0);
    if (!c->verdict && mega_schedule_resolve(s, FAIRSEQ_UPDATES))
        golden_unsupported(c, "%s", mega_message());
    return !c->verdict;
}

void golden_schedule(struct golden_case *c)
{
    struct golden_rates rates;
    const struct mega_st_tensor *n = golden_find(c, "in.num_updates"),
                                *want = golden_find(c, "out.lr");
    if (!n || !want || n->count != want->count) {
        golden_unsupported(c, "expected in.num_updates and out.lr of one length");
        return;
    }
    if (!golden_rates_read(c, &rates, "scheduler", golden_cfg_int(c, "max_update", 0))) return;
    double worst = 0;
    for (int64_t i = 0; i < n->count; i++) {
        double value = mega_st_real(want, i),
               got = mega_schedule_rate(&rates.schedule, mega_st_int(n, i));
        /* the rule |got - want| <= tolerance |want| + 1e-12 as one relative error */
        double error = fabs(got - value) / (fabs(value) + 1e-12 / c->tol_out);
        if (!(error <= worst)) worst = error;
    }
    golden_judge(c, want, worst, c->tol_out, "");
}
