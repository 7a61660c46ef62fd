#include "study/head_removal.h"

#include <math.h>
#include <stdlib.h>

/* notes at each step which heads are still there */
struct watching {
    const struct mega_head_table *kept;
    struct mega_head_table *until;
    int64_t step;
};

static void watch(void *arg, const struct mega_head_step *step)
{
    struct watching *w = arg;
    (void)step;
    for (int64_t i = 0; i < w->kept->layers * w->kept->heads; i++)
        if (w->kept->value[i] > 0) w->until->value[i] = (double)w->step;
    w->step++;
}

static void open_all(mega_model *gated, const struct mega_head_table *heads)
{
    for (int64_t l = 0; l < heads->layers; l++)
        for (int64_t h = 0; h < heads->heads; h++) mega_study_set_gate(gated, l, h, 1);
}

static mega_status go(const struct mega_study_data *d, const mega_model *m, mega_model *gated,
    const struct mega_head_pruning *how, struct mega_head_table *until,
    struct mega_head_step **steps, int64_t *n)
{
    struct mega_head_table kept = { 0 };
    struct watching w = { &kept, until, 0 };
    mega_status status =
        mega_study_prune(d, m, gated, how, &kept, steps, n, until ? watch : NULL, &w);
    open_all(gated, &kept);
    mega_head_table_free(&kept);
    return status;
}

mega_status mega_study_removal(const struct mega_study_data *d, const mega_model *m,
    mega_model *gated, int64_t steps, int32_t end, struct mega_head_removal *out)
{
    struct mega_model_heads h;
    *out = (struct mega_head_removal){ 0 };
    MEGA_TRY(mega_model_heads_find(&h, m));
    mega_status status = mega_head_table_new(&out->until, &h);
    mega_model_heads_done(&h);
    if (status) return status;
    int64_t all = mega_head_table_count(&out->until);
    struct mega_head_pruning how = { .method = MEGA_HEADS_GRADIENT,
        .at_a_time = (all + steps - 1) / steps > 0 ? (all + steps - 1) / steps : 1,
        .end = end,
        .seed = 1 };
    status = go(d, m, gated, &how, &out->until, &out->step, &out->steps);
    how.method = MEGA_HEADS_RANDOM;
    how.once = true;
    if (!status) status = go(d, m, gated, &how, NULL, &out->random, &out->randoms);
    if (status) mega_head_removal_free(out);
    return status;
}

void mega_head_removal_free(struct mega_head_removal *r)
{
    free(r->step);
    free(r->random);
    mega_head_table_free(&r->until);
    *r = (struct mega_head_removal){ 0 };
}
