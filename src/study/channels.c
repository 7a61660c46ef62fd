#include "study/channels.h"

#include <math.h>
#include <stdlib.h>

#include "layer/kept_heads.h"

/* blocks that a feed-forward had at first; 0: it does not fall into whole ones */
static int64_t blocks_of(const struct mega_mlp *f)
{
    int64_t n = f->options.block ? f->options.block : MEGA_CHANNEL_BLOCK;
    return n < 1 || f->options.hidden % n ? 0 : f->options.hidden / n;
}

/* the number that block k of those that are left had at first */
static int64_t number_of(const struct mega_mlp *f, int64_t k)
{
    return f->kept.number ? f->kept.number[k] : k;
}

static int64_t left_of(const struct mega_mlp *f)
{
    return f->kept.number ? f->kept.heads : blocks_of(f);
}

mega_status mega_study_channels(const mega_model *m, struct mega_head_table *t)
{
    const struct mega_mlp *f;
    *t = (struct mega_head_table){ 0 };
    for (; (f = mega_model_mlp(m, t->layers)) != NULL; t->layers++) {
        if (!blocks_of(f)) {
            t->layers = t->heads = 0;
            break;
        }
        if (blocks_of(f) > t->heads) t->heads = blocks_of(f);
    }
    int64_t n = t->layers * t->heads;
    t->value = malloc((size_t)(n + 1) * sizeof *t->value);
    if (!t->value) return mega_fail(MEGA_NO_MEMORY, "no memory for a table of channels");
    for (int64_t i = 0; i < n; i++) t->value[i] = NAN;
    for (int64_t l = 0; l < t->layers; l++) {
        f = mega_model_mlp(m, l);
        for (int64_t k = 0; k < left_of(f); k++) *mega_head_at(t, l, number_of(f, k)) = 1;
    }
    return MEGA_OK;
}

void mega_study_channels_close(
    const mega_model *m, struct mega_head_table *kept, int64_t *partial)
{
    *partial = 0;
    for (int64_t l = 0; l < kept->layers; l++) {
        const struct mega_mlp *f = mega_model_mlp(m, l);
        for (int64_t k = 0; k < left_of(f); k++) {
            double gate = mega_head_gates_value(&f->gates, k);
            *partial += gate > 0 && gate < 1;
            if (!(gate > 0)) *mega_head_at(kept, l, number_of(f, k)) = 0;
        }
    }
}

void mega_study_channels_kept(
    const struct mega_head_table *kept, const mega_model *m, struct mega_text *to)
{
    bool *open = calloc((size_t)kept->heads + 1, sizeof *open), whole = true;
    for (int64_t i = 0; i < kept->layers * kept->heads; i++)
        if (isnan(kept->value[i]) || !(kept->value[i] > 0)) whole = false;
    for (int64_t l = 0; open && !whole && l < kept->layers; l++) {
        for (int64_t k = 0; k < kept->heads; k++) {
            double v = *mega_head_at(kept, l, k);
            open[k] = !isnan(v) && v > 0;
        }
        mega_kept_heads_print(to, blocks_of(mega_model_mlp(m, l)), open);
    }
    if (!open) to->failed = true;
    free(open);
}
