#include "train/update.h"

#include <stdlib.h>

mega_status mega_optimizer_init(struct mega_optimizer *o, struct mega_work *work, mega_model *m,
    const struct mega_adam *adam)
{
    *o = (struct mega_optimizer){
        .work = work, .model = m, .adam = *adam, .n_spans = m->store.n_params
    };
    o->span = calloc((size_t)o->n_spans + 1, sizeof *o->span);
    o->span_frozen = calloc((size_t)o->n_spans + 1, sizeof *o->span_frozen);
    if (!o->span || !o->span_frozen)
        return mega_fail(MEGA_NO_MEMORY, "no memory for the optimiser");
    int i = 0;
    for (const struct mega_param *p = m->store.first; p; p = p->next)
        o->span[i++] =
            (struct mega_span){ .offset = p->offset, .count = p->count, .rate = 1, .decay = 1 };
    return MEGA_OK;
}

void mega_optimizer_done(struct mega_optimizer *o)
{
    free(o->span);
    free(o->span_frozen);
    o->span = NULL;
    o->span_frozen = NULL;
}

mega_status mega_optimizer_norm(struct mega_optimizer *o, double *norm)
{
    int i = 0;
    double start = mega_profile_start(o->profile);
    for (struct mega_param *p = o->model->store.first; p; p = p->next, i++) {
        o->span[i].touched = p->touched && !o->span_frozen[i];
        if (o->span_frozen[i] && p->touched) mega_tensor_zero(&p->gradient);
    }
    mega_status status = mega_grad_norm(o->work, o->model->store.gradient, 1, o->span,
        o->n_spans, (enum mega_clip_mode)o->adam.clip_mode, norm);
    mega_profile_stage(
        o->profile, "gradient norm", 4.0 * (double)o->model->store.numbers, start);
    return status;
}

void mega_optimizer_step(struct mega_optimizer *o, double lr, double norm)
{
    struct mega_store *s = &o->model->store;
    double start = mega_profile_start(o->profile);
    struct mega_flat flat = { s->value, s->gradient, s->moment1, s->moment2 };
    mega_adam_step(o->work, &o->adam, lr, 1, norm, flat, o->span, o->n_spans);
    mega_store_clip_heads(s);
    for (struct mega_param *p = s->first; p; p = p->next) {
        p->touched = false;
        p->version++;
    }
    /* four arrays of floats, read and written */
    mega_profile_stage(o->profile, "optimiser", 32.0 * (double)s->numbers, start);
}

mega_status mega_pass_run(mega_run *r, const mega_model *m, struct mega_batch *b,
    struct mega_now now, double units, int64_t first_row, unsigned mode, double *loss)
{
    MEGA_TRY(mega_run_begin(r,
        &(struct mega_run_args){ .mode = MEGA_RUN_TRAIN | MEGA_RUN_GRAD | mode, .now = now }));
    /* two towers number their rows 2n and 2n + 1, so that no two texts of an update draw alike
     */
    int64_t towers = mega_model_towers(m);
    for (int64_t k = 0; k < towers; k++) {
        int32_t *number = mega_run_memory(r, (size_t)b->n * sizeof *number);
        for (int64_t i = 0; number && i < b->n; i++)
            number[i] = (int32_t)((first_row + i) * towers + k);
        b->rows[k].number = number;
    }
    mega_tensor *total = mega_batch_loss(r, m, b);
    float sum = 0;
    if (total) mega_run_read(r, total, &sum);
    *loss = (double)sum;
    mega_run_seed(r, total, 1 / units);
    mega_run_seed_more(r, 1 / units);
    mega_run_backward(r);
    return mega_run_end(r);
}

double mega_pass_flops(const mega_run *r)
{
    return 3 * mega_run_flops(r);
}
