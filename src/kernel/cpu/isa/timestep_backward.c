/* timestep_norm, backward: each lane walks its groups from the last place to the
 * first, with the gradients of their statistics. */
#include "kernel/cpu/isa/timestep_norm.h"

#include "kernel/cpu/isa/timestep_share.h"

/* The call, and each lane's sums: of weight, bias [D] and prior mean, prior logarithm [G] for
 * each row of the batch; row 0 receives the totals. */
struct pass {
    const struct mega_call *c;
    struct mega_grads *g;
    float *parts; /* [B + 1, 2 D + 2 G] */
};

static int64_t part_size(const struct mega_call *c)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    return 2 * (c->in[X]->dim[2] + a->groups);
}

/* The walk back of a lane. */
struct back {
    struct share s;
    const struct pass *pass;
    const float *w;
    const float *prior_var;
    int32_t *n;             /* [T] places that count, after each place */
    float *dw, *db;         /* of the lane's channels */
    float *d_mean, *d_logv; /* of its groups */
    float u[ROOM], v[ROOM]; /* gradients of the statistics (M with the port's means) */
    float start_mean[ROOM]; /* u of a start that nothing came into */
    float factor_floor;     /* r of the least variance */
};

static void count_places(struct back *k)
{
    const struct share *s = &k->s;
    int64_t fresh = s->a->prior_count > 0 ? s->a->prior_count : 0;
    int64_t n = takes_state(s) ? count_of(s) : fresh;
    for (int64_t t = 0; t < s->T; t++) {
        if (begins_at(s, t)) n = fresh;
        n += real_at(s, t);
        k->n[t] = (int32_t)n;
    }
}

/* u before place t */
static const float *mean_before(const struct back *k, int64_t t)
{
    const struct share *s = &k->s;
    bool fresh = begins_at(s, t);
    if (t > 0 && !fresh) return kept_at(s, t - 1);
    if (!fresh && takes_state(s)) return row_of(s->c->in[MEAN], s->b) + s->first;
    return k->start_mean;
}

/* what a lane hears at some places, and answers */
struct places {
    int64_t first;
    int n;
    struct window x, dy, dx;
    bool real[PLACES], speaks[PLACES];
    float ds[PLACES][ROOM], db[PLACES][ROOM];             /* sums of dy (x - u) w, of dy w */
    float mean[PLACES][ROOM];                             /* of x */
    float u[PLACES][ROOM], r[PLACES][ROOM];               /* what it was normalised by */
    float to_mean[PLACES][ROOM], to_spread[PLACES][ROOM]; /* shares of the gradient of x */
};

static void listen_at(const struct back *k, struct places *p, int i)
{
    const struct share *s = &k->s;
    const float *x = window_row(&p->x, i), *dy = window_row(&p->dy, i);
    vec ds[GROUPS], db[GROUPS], sums[GROUPS];
    float offset = s->a->unit_offset ? 1 : 0, size = (float)s->size;
    for (int g = 0; g < GROUPS; g++) {
        vec sum = { 0 }, sum_e = { 0 }, sum_d = { 0 };
        if (g < s->n) EACH_SPOT(s, at, g)
            {
                vec in = fetch(x, &at), d = dy ? own(s, &at, fetch(dy, &at)) : vec_all(0);
                if (k->w) d *= fetch(k->w, &at) + offset;
                sum += own(s, &at, in);
                sum_e += d * (in - p->u[i][g]);
                sum_d += d;
            }
        sums[g] = sum;
        ds[g] = sum_e;
        db[g] = sum_d;
    }
    totals(ds, p->ds[i]);
    totals(db, p->db[i]);
    totals(sums, p->mean[i]);
    EACH_VEC(j) vec_store(p->mean[i] + j, vec_load(p->mean[i] + j) / size);
}

static void listen(const struct back *k, struct places *p)
{
    const struct share *s = &k->s;
    for (int i = 0; i < p->n; i++) {
        const float *kept = kept_at(s, p->first + i);
        p->real[i] = real_at(s, p->first + i);
        p->speaks[i] = p->real[i] || s->means;
        EACH_VEC(j)
        {
            bool some = j < s->n;
            vec zero = vec_all(0);
            vec_store(p->u[i] + j, some ? vec_get(kept + j, s->n - j) : zero);
            vec_store(p->r[i] + j, some ? vec_get(kept + s->a->groups + j, s->n - j) : zero);
            vec_store(p->to_mean[i] + j, zero);
            vec_store(p->to_spread[i] + j, zero);
        }
        if (p->speaks[i]) listen_at(k, p, i);
    }
}

/* the statistics' gradients over place i, for groups j ... */
VEC_INLINE void step_back(struct back *k, struct places *p, int i, int j, const float *u_before)
{
    const struct share *s = &k->s;
    int64_t n = k->n[p->first + i];
    vec r = vec_load(p->r[i] + j), share = vec_all(1);
    if (s->means) share = vec_where(r < k->factor_floor, vec_all(1 / (float)at_least_one(n)));
    vec u = vec_load(k->u + j) - r * vec_load(p->db[i] + j);
    vec v = vec_load(k->v + j) - 0.5f * r * r * r * vec_load(p->ds[i] + j) * share;
    if (p->real[i]) {
        float c = 1 / (float)n, size = (float)s->size;
        vec e = vec_load(p->mean[i] + j) - vec_get(u_before + j, s->n - j);
        vec through = 2 * (s->means ? 1 : c) * (1 - c) * v * e;
        vec_store(p->to_mean[i] + j, (c * u + through) / size);
        if (!s->means) vec_store(p->to_spread[i] + j, (2 * c / size) * v);
        u = (1 - c) * u - through;
        if (!s->means) v *= 1 - c;
    }
    vec_store(k->u + j, u);
    vec_store(k->v + j, v);
}

/* the statistics began here: what is left goes to the prior, and no further */
static void end_document(struct back *k)
{
    const struct share *s = &k->s;
    float times = s->means ? (float)at_least_one(s->a->prior_count) : 1;
    for (int g = 0; g < s->n && k->prior_var; g++) {
        k->d_mean[g] += k->u[g];
        k->d_logv[g] += k->v[g] * times * k->prior_var[s->first + g];
    }
    for (int g = 0; g < ROOM; g++) k->u[g] = k->v[g] = 0;
}

static void walk_back(struct back *k, struct places *p)
{
    const struct share *s = &k->s;
    for (int i = p->n - 1; i >= 0; i--) {
        const float *before = mean_before(k, p->first + i);
        for (int j = 0; p->speaks[i] && j < s->n; j += VEC) step_back(k, p, i, j, before);
        if (begins_at(s, p->first + i)) end_document(k);
    }
}

/* dx of the vector of channels j ... at all places, and their weight's and bias's gradients */
static void answer(const struct back *k, const struct places *p, int64_t j, ivec group)
{
    const struct share *s = &k->s;
    const struct mega_grads *grads = k->pass->g;
    int64_t left = s->n * s->size - j;
    bool add = grads->add >> X & 1;
    vec w = vec_all(1), dw = vec_get(k->dw + j, left), db = vec_get(k->db + j, left);
    if (k->w) w = vec_get(k->w + j, left) + (s->a->unit_offset ? 1.0f : 0.0f);
    for (int i = 0; i < p->n; i++) {
        float *dx = window_row(&p->dx, i);
        vec d = { 0 };
        if (p->speaks[i]) {
            vec x = vec_get(window_row(&p->x, i) + j, left);
            vec r = vec_look(p->r[i], group), dy = { 0 };
            if (p->dy.at) dy = vec_get(window_row(&p->dy, i) + j, left);
            dw += dy * (x - vec_look(p->u[i], group)) * r;
            db += dy;
            d = dy * w * r + vec_look(p->to_mean[i], group) +
                vec_look(p->to_spread[i], group) * (x - vec_look(p->mean[i], group));
        }
        if (dx) vec_give(dx + j, d, add, left);
    }
    vec_put(k->dw + j, dw, left);
    vec_put(k->db + j, db, left);
}

static void give(mega_tensor *t, int64_t row, int64_t column, float value, bool add)
{
    if (!t) return;
    float *to = row_of(t, row) + column;
    *to = add ? *to + value : value;
}

static void end_row(struct back *k)
{
    const struct share *s = &k->s;
    struct mega_grads *grads = k->pass->g;
    bool taken = takes_state(s);
    float times = taken && s->means ? (float)at_least_one(count_of(s)) : 1;
    for (int g = 0; g < s->n; g++) {
        give(grads->in[MEAN], s->b, s->first + g, taken ? k->u[g] : 0, grads->add >> MEAN & 1);
        give(grads->in[VAR], s->b, s->first + g, taken ? k->v[g] * times : 0,
            grads->add >> VAR & 1);
    }
    if (!taken) end_document(k);
}

/* d v / d M of what went out with the port's means, of group g of the lane */
static float last_share(const struct back *k, int g)
{
    const struct share *s = &k->s;
    if (s->T > 0) {
        float r = kept_at(s, s->T - 1)[s->a->groups + g];
        return r >= k->factor_floor ? 0 : 1 / (float)at_least_one(k->n[s->T - 1]);
    }
    bool taken = takes_state(s);
    int64_t n = taken ? count_of(s) : s->a->prior_count, at = s->first + g;
    float v = taken ? row_of(s->c->in[VAR], s->b)[at] : k->prior_var ? k->prior_var[at] : 1;
    return v < FLOOR_OF_MEANS ? 0 : 1 / (float)at_least_one(n);
}

/* the gradients of the statistics that went out */
static void begin_row(struct back *k)
{
    const struct share *s = &k->s;
    const struct mega_grads *g = k->pass->g;
    const float *d_mean = row_of(g->out[2], s->b), *d_var = row_of(g->out[3], s->b);
    for (int i = 0; i < s->n; i++) {
        if (d_mean) k->u[i] = d_mean[s->first + i];
        if (d_var) k->v[i] = d_var[s->first + i] * (s->means ? last_share(k, i) : 1);
    }
}

static void lane_back(void *arg, int64_t i, struct mega_arena *scratch)
{
    const struct pass *p = arg;
    const struct mega_call *c = p->c;
    struct back k = { .s = share_of(c, i), .pass = p };
    const struct share *s = &k.s;
    float *part = p->parts + (s->b + 1) * part_size(c);
    int64_t width = c->in[X]->dim[2];
    k.w = c->in[W] ? row_of(c->in[W], 0) + s->channel : NULL;
    k.prior_var = prior_variance(s, scratch);
    k.n = mega_arena_get(scratch, (size_t)(s->T + 1) * sizeof *k.n);
    k.dw = part + s->channel;
    k.db = part + width + s->channel;
    k.d_mean = part + 2 * width + s->first;
    k.d_logv = k.d_mean + s->a->groups;
    k.factor_floor = 1 / sqrtf(FLOOR_OF_MEANS + s->eps);
    memset(k.dw, 0, (size_t)(s->n * s->size) * sizeof(float));
    memset(k.db, 0, (size_t)(s->n * s->size) * sizeof(float));
    memset(k.d_mean, 0, (size_t)s->n * sizeof(float));
    memset(k.d_logv, 0, (size_t)s->n * sizeof(float));
    for (int g = 0; g < s->n && s->a->prior_count > 0; g++)
        k.start_mean[g] = row_of(c->in[PRIOR_MEAN], 0)[s->first + g];
    const ivec *group = groups_of_channels(s, scratch);
    count_places(&k);
    begin_row(&k);
    struct places places;
    const mega_tensor *dy = p->g->out[0], *dx = p->g->in[X];
    places.x = window_new(s, c->in[X], scratch);
    places.dy = window_new(s, dy, scratch);
    places.dx = window_new(s, dx, scratch);
    for (int64_t end = s->T; end > 0; end = places.first) {
        places.first = end > PLACES ? end - PLACES : 0;
        places.n = (int)(end - places.first);
        fetch_places(s, c->in[X], places.first - PLACES);
        fetch_places(s, dy, places.first - PLACES);
        fetch_places(s, dx, places.first - PLACES);
        window_open(&places.x, s, c->in[X], places.first, places.n, true);
        window_open(&places.dy, s, dy, places.first, places.n, true);
        window_open(&places.dx, s, dx, places.first, places.n, p->g->add >> X & 1);
        listen(&k, &places);
        walk_back(&k, &places);
        for (int64_t j = 0; j < s->n * s->size; j += VEC)
            answer(&k, &places, j, group[j / VEC]);
        window_close(&places.dx, s, dx, places.first, places.n);
    }
    end_row(&k);
}

static void give_totals(const struct pass *p, int input, const float *sum)
{
    mega_tensor *t = p->g->in[input];
    for (int64_t j = 0; t && j < mega_count(t); j++)
        give(t, 0, j, sum[j], p->g->add >> input & 1);
}

void MEGA_ISA_NAME(mega_timestep_norm_backward)(const struct mega_call *c, struct mega_grads *g)
{
    int64_t rows = c->in[X]->dim[0], size = part_size(c), D = c->in[X]->dim[2];
    struct pass p = { c, g, NULL };
    p.parts = mega_scratch(c->work, (size_t)((rows + 1) * size) * sizeof(float));
    mega_lanes(c->work, rows * blocks_of(c), 12 * (double)mega_count(c->in[X]), lane_back, &p);
    memset(p.parts, 0, (size_t)size * sizeof *p.parts);
    for (int64_t b = 1; b <= rows; b++)
        for (int64_t j = 0; j < size; j++) p.parts[j] += p.parts[b * size + j];
    give_totals(&p, W, p.parts);
    give_totals(&p, B, p.parts + D);
    give_totals(&p, PRIOR_MEAN, p.parts + 2 * D);
    give_totals(&p, PRIOR_LOGV, p.parts + D + size / 2);
}
