/* timestep_norm, forward; bfloat16 is widened some places at a time. */
#include "kernel/cpu/isa/timestep_norm.h"

#include "kernel/cpu/isa/timestep_share.h"

/* what a lane holds of some places */
struct places {
    int64_t first;
    int n;
    struct window x, y;
    bool real[PLACES];
    float mean[PLACES][ROOM], spread[PLACES][ROOM]; /* of each place alone */
    float u[PLACES][ROOM], r[PLACES][ROOM];         /* what it is normalised by */
};

static void measure(const struct share *s, struct places *p)
{
    for (int i = 0; i < p->n; i++) {
        p->real[i] = real_at(s, p->first + i);
        if (p->real[i]) moments(s, window_row(&p->x, i), p->mean[i], p->spread[i]);
    }
}

/* y of the vector of channels j ... at all places */
static void normalise(const struct share *s, const struct places *p, int64_t j, ivec group)
{
    const struct mega_call *c = s->c;
    int64_t left = s->n * s->size - j, channel = s->channel + j;
    vec w = vec_all(1), b = vec_all(0);
    if (c->in[W])
        w = vec_get(row_of(c->in[W], 0) + channel, left) + (s->a->unit_offset ? 1.0f : 0.0f);
    if (c->in[B]) b = vec_get(row_of(c->in[B], 0) + channel, left);
    for (int i = 0; i < p->n; i++) {
        float *y = window_row(&p->y, i) + j;
        if (!p->real[i] && !s->means) {
            vec_put(y, vec_all(0), left);
            continue;
        }
        vec x = vec_get(window_row(&p->x, i) + j, left);
        vec_put(y, (x - vec_look(p->u[i], group)) * vec_look(p->r[i], group) * w + b, left);
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

static void walk(
    const struct share *s, struct statistics *now, struct places *p, const float *prior_var)
{
    for (int i = 0; i < p->n; i++) {
        if (begins_at(s, p->first + i)) start_fresh(s, now, prior_var);
        if (p->real[i]) advance(s, now, p->mean[i], p->spread[i]);
        set_factors(s, now);
        save(s, now, p->first + i);
        memcpy(p->u[i], now->u, sizeof now->u);
        memcpy(p->r[i], now->r, sizeof now->r);
    }
}

static void lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct mega_call *c = arg;
    struct share s = share_of(c, i);
    struct statistics now;
    struct places p;
    p.x = window_new(&s, c->in[X], scratch);
    p.y = window_new(&s, c->out[0], scratch);
    const ivec *group = groups_of_channels(&s, scratch);
    const float *prior_var = prior_variance(&s, scratch);
    start_row(&s, &now, prior_var);
    for (p.first = 0; p.first < s.T; p.first += PLACES) {
        p.n = s.T - p.first < PLACES ? (int)(s.T - p.first) : PLACES;
        fetch_places(&s, c->in[X], p.first + PLACES);
        fetch_places(&s, c->out[0], p.first + PLACES);
        window_open(&p.x, &s, c->in[X], p.first, p.n, true);
        window_open(&p.y, &s, c->out[0], p.first, p.n, false);
        measure(&s, &p);
        walk(&s, &now, &p, prior_var);
        for (int64_t j = 0; j < s.n * s.size; j += VEC) normalise(&s, &p, j, group[j / VEC]);
        window_close(&p.y, &s, c->out[0], p.first, p.n);
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
    mega_dtype type = c->in[X]->dtype;
    *why = "float32 or bfloat16, float32 parameters and statistics";
    if ((type != MEGA_F32 && type != MEGA_BF16) || c->out[0]->dtype != type) return false;
    for (int i = X + 1; i < MEGA_IN; i++)
        if (c->in[i] && c->in[i]->dtype != (i == COUNT ? MEGA_I32 : MEGA_F32)) return false;
    return !c->out[2] || c->out[2]->dtype == MEGA_F32;
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
