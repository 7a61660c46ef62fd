/* timestep_norm in float32, forward. */
#include "kernel/cpu/isa/timestep_norm.h"

#include "kernel/cpu/isa/timestep_share.h"

static void normalise(const struct share *s, const struct statistics *now, const float *x,
    const float *w, const float *b, float *y)
{
    float offset = s->a->unit_offset ? 1 : 0;
    for (int g = 0; g < s->n; g++) EACH_SPOT(s, p, g)
        {
            vec v = (fetch(x, &p) - now->u[g]) * now->r[g];
            if (w) v *= fetch(w, &p) + offset;
            if (b) v += fetch(b, &p);
            vec_put(y + p.at, v, p.left);
        }
}

static void save(const struct share *s, const struct statistics *now, int64_t t)
{
    if (!s->c->saved[0]) return;
    float *kept = kept_at(s, t);
    for (int i = 0; i < s->n; i += VEC) {
        vec_put(kept + i, vec_load(now->u + i), s->n - i);
        vec_put(kept + s->a->groups + i, vec_load(now->r + i), s->n - i);
    }
}

static void give_statistics(const struct share *s, const struct statistics *now)
{
    const struct mega_call *c = s->c;
    if (s->first == 0) ((int32_t *)c->out[1]->data)[s->b] = (int32_t)now->n;
    for (int i = 0; i < s->n; i += VEC) {
        vec v = now->n || s->means ? variances(s, now, i) : vec_all(1);
        vec_put(row_of(c->out[2], s->b) + s->first + i, vec_load(now->u + i), s->n - i);
        vec_put(row_of(c->out[3], s->b) + s->first + i, v, s->n - i);
    }
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct mega_call *c = arg;
    struct share s = share_of(c, i);
    struct statistics now;
    const float *w = c->in[W] ? row_of(c->in[W], 0) + s.channel : NULL,
                *b = c->in[B] ? row_of(c->in[B], 0) + s.channel : NULL,
                *prior_var = prior_variance(&s, scratch);
    start_row(&s, &now, prior_var);
    for (int64_t t = 0; t < s.T; t++) {
        const float *x = place_in(&s, c->in[X], t);
        float *y = place_in(&s, c->out[0], t);
        bool real = real_at(&s, t);
        if (begins_at(&s, t)) start_fresh(&s, &now, prior_var);
        if (real) advance(&s, &now, x);
        save(&s, &now, t);
        if (real || s.means)
            normalise(&s, &now, x, w, b, y);
        else
            memset(y, 0, (size_t)(s.n * s.size) * sizeof *y);
    }
    if (c->out[1]) give_statistics(&s, &now);
}

static void forward(const struct mega_call *c)
{
    mega_lanes(c->work, c->in[X]->dim[0] * blocks_of(c), 6 * (double)mega_count(c->in[X]), lane,
        (void *)c);
}

static bool accepts(const struct mega_call *c, const char **why)
{
    *why = "takes float32 only";
    if (c->dtype != MEGA_F32) return false;
    for (int i = 0; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != (i == COUNT ? MEGA_I32 : MEGA_F32)) return false;
    return true;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    const struct mega_attr_timestep_norm *a = c->attr;
    saved[0] = mega_shaped(MEGA_F32, 2, mega_height(c->in[X]), 2 * a->groups, 0, 0);
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_timestep_norm) = { .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_timestep_norm_backward) };
