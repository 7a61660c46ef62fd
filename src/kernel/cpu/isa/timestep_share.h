/* What both ways of the timestep norm kernel share: a lane is a block of groups of one row,
 * walked along time in one pass. Mean and variance are sums with compensation (Kahan, 1965),
 * which keeps what places add long after the sums have grown. Kept for the backward pass: u and
 * 1 / sqrt(v + eps) of each place and group, [G] and [G]. */
#ifndef MEGA_KERNEL_CPU_ISA_TIMESTEP_SHARE_H
#define MEGA_KERNEL_CPU_ISA_TIMESTEP_SHARE_H

#include "kernel/cpu/row_lanes.h"
#include "kernel/cpu/vector_half.h"

enum {
    X = MEGA_TIMESTEP_NORM_X,
    W = MEGA_TIMESTEP_NORM_WEIGHT,
    B = MEGA_TIMESTEP_NORM_BIAS,
    PRIOR_MEAN = MEGA_TIMESTEP_NORM_PRIOR_MEAN,
    PRIOR_LOGV = MEGA_TIMESTEP_NORM_PRIOR_LOGV,
    COUNT = MEGA_TIMESTEP_NORM_COUNT,
    MEAN = MEGA_TIMESTEP_NORM_MEAN,
    VAR = MEGA_TIMESTEP_NORM_VAR
};
/* groups of a lane, and the room that vectors of them take */
enum { GROUPS = 8, ROOM = 16 };

#define FLOOR_OF_MEANS 1e-6f /* the least variance of the port's statistics */

/* vectors of groups */
#define EACH_VEC(i) for (int i = 0; i < GROUPS; i += VEC)

/* ---- a lane's share ---- */

/* What a lane works on: groups first ... first+n-1 of one row of the batch. */
struct share {
    const struct mega_call *c;
    const struct mega_attr_timestep_norm *a;
    int64_t b, first, T, size, channel; /* size: channels of a group; channel: the first */
    int n;
    float eps;
    bool means; /* the port's statistics */
    ivec tail;  /* ones where the last vector of a group holds channels of its own */
};

static inline int64_t blocks_of(const struct mega_call *c)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    return (a->groups + GROUPS - 1) / GROUPS;
}

static inline struct share share_of(const struct mega_call *c, int64_t lane)
{
    const struct mega_attr_timestep_norm *a = c->attr;
    int64_t blocks = blocks_of(c);
    struct share s = { .c = c, .a = a, .b = lane / blocks, .first = lane % blocks * GROUPS };
    s.T = c->in[X]->dim[1];
    s.size = c->in[X]->dim[2] / a->groups;
    s.channel = s.first * s.size;
    s.n = a->groups - s.first < GROUPS ? (int)(a->groups - s.first) : GROUPS;
    s.eps = (float)a->eps;
    s.means = a->kind == MEGA_TIMESTEP_NORM_MEANS;
    for (int i = 0; i < VEC; i++) s.tail[i] = i < s.size % VEC ? -1 : 0;
    return s;
}

/* the lane's channels of a place */
static inline void *place_in(const struct share *s, const mega_tensor *t, int64_t place)
{
    char *row = mega_row(t, s->b * s->T + place);
    return row + (size_t)s->channel * mega_dtype_size(t->dtype);
}

static inline bool begins_at(const struct share *s, int64_t t)
{
    const struct mega_rows *rows = s->c->rows;
    return rows->doc && t < mega_rows_len(rows, s->b) && rows->doc[s->b * s->T + t] == t;
}

static inline bool real_at(const struct share *s, int64_t t)
{
    return mega_rows_real(s->c->rows, s->b, t);
}

static inline bool takes_state(const struct share *s)
{
    return s->c->in[COUNT] && !mega_rows_fresh(s->c->rows, s->b) && !begins_at(s, 0);
}

/* places that the statistics which come in count */
static inline int64_t count_of(const struct share *s)
{
    return ((const int32_t *)s->c->in[COUNT]->data)[s->b];
}

/* ---- channels of a group ----
 *
 * Vectors run over a group's end into the next group of the lane: what they hold there is
 * masked before it is summed, written before that group's own numbers come, or a sum with 0.
 * Only beyond the lane's last channel nothing is touched. */

struct spot {
    int64_t at;   /* the vector's first channel, counted in the lane */
    int64_t left; /* channels up to the lane's end */
    bool ends;    /* the group ends inside the vector */
};

/* a loop over the vectors of group g */
#define EACH_SPOT(s, p, g)                                                                     \
    for (struct spot p = spot_of(s, (g) * (s)->size, g); p.at < ((g) + 1) * (s)->size;         \
         p = spot_of(s, p.at + VEC, g))

VEC_INLINE struct spot spot_of(const struct share *s, int64_t at, int g)
{
    return (struct spot){ at, s->n * s->size - at, (g + 1) * s->size - at < VEC };
}

VEC_INLINE vec own(const struct share *s, const struct spot *p, vec v)
{
    return p->ends ? vec_where(s->tail, v) : v;
}

VEC_INLINE vec fetch(const float *from, const struct spot *p)
{
    return vec_get(from + p->at, p->left);
}

/* sums of neighbours, `step` lanes together: of a in the first half of 2 step lanes, of b in
 * the second */
VEC_INLINE vec fold(vec a, vec b, int step)
{
    ivec low, high;
    for (int i = 0; i < VEC; i++) {
        int in = i % (2 * step), base = i - in;
        low[i] = in < step ? base + in : VEC + base + in - step;
        high[i] = low[i] + step;
    }
    return vec_pick(a, b, low) + vec_pick(a, b, high);
}

VEC_INLINE void fold_all(vec *v, int n, int step)
{
    for (int i = 0; i < n; i++) v[i] = fold(v[2 * i], v[2 * i + 1], step);
}

/* Lane i of out becomes the sum over all lanes of each[i]: by pairs, in one order. */
static inline void totals(const vec each[GROUPS], float out[ROOM])
{
    enum { WIDE = (int)VEC < (int)GROUPS ? (int)VEC : (int)GROUPS };
    for (int first = 0; first < GROUPS; first += WIDE) {
        vec v[WIDE];
        for (int i = 0; i < WIDE; i++) v[i] = each[first + i];
        fold_all(v, WIDE / 2, 1);
        fold_all(v, WIDE / 4, 2);
        if (WIDE > 4) fold_all(v, WIDE / 8, 4);
        if ((int)VEC > (int)WIDE) v[0] += vec_upper(v[0], VEC / 2);
        vec_store(out + first, v[0]);
    }
}

/* ---- blocks of places ----
 *
 * Sums over groups, the recursion along time, and what each channel makes of it are loops of
 * their own over PLACES places: the recursion waits for itself, the others need not wait for
 * it. Numbers of groups become numbers of channels by a permutation. */

enum { PLACES = 16 };

/* Asks memory for the lane's channels of the places of a block to come: rows are too far apart
 * for the machine to see it by itself. */
static inline void fetch_places(const struct share *s, const mega_tensor *t, int64_t first)
{
    enum { LINE = 64 };
    if (!t) return;
    int64_t bytes = s->n * s->size * (int64_t)mega_dtype_size(t->dtype);
    for (int64_t i = first < 0 ? 0 : first; i < first + PLACES && i < s->T; i++) {
        const char *row = place_in(s, t, i);
        for (int64_t j = 0; j < bytes; j += LINE) __builtin_prefetch(row + j);
    }
}

/* The lane's channels of some places in float32: where they lie, or widened in scratch. */
struct window {
    float *at; /* NULL: there is no such tensor */
    int64_t stride;
    float *room; /* [PLACES, channels] */
};

static inline float *window_row(const struct window *w, int i)
{
    return w->at ? w->at + i * w->stride : NULL;
}

static inline int64_t room_stride(const struct share *s)
{
    return (s->n * s->size + VEC - 1) / VEC * VEC;
}

static inline struct window window_new(
    const struct share *s, const mega_tensor *t, struct mega_arena *scratch)
{
    struct window w = { 0 };
    if (t && t->dtype == MEGA_BF16)
        w.room = mega_arena_get(scratch, (size_t)(PLACES * room_stride(s)) * sizeof *w.room);
    return w;
}

/* moves to n places from `first` on; `read`: their numbers are asked for */
static inline void window_open(struct window *w, const struct share *s, const mega_tensor *t,
    int64_t first, int n, bool read)
{
    if (!t) return;
    w->at = w->room ? w->room : place_in(s, t, first);
    w->stride = w->room ? room_stride(s) : t->stride;
    for (int i = 0; w->room && read && i < n; i++) {
        const uint16_t *from = place_in(s, t, first + i);
        float *to = window_row(w, i);
        int64_t j = 0, width = s->n * s->size;
        for (; j + VEC <= width; j += VEC) vec_store(to + j, vec_widen_load(from + j));
        for (; j < width; j++) to[j] = mega_from_bf16(from[j]);
    }
}

/* what was written goes to the tensor */
static inline void window_close(
    const struct window *w, const struct share *s, const mega_tensor *t, int64_t first, int n)
{
    for (int i = 0; w->room && i < n; i++) {
        uint16_t *to = place_in(s, t, first + i);
        const float *from = window_row(w, i);
        int64_t j = 0, width = s->n * s->size;
        for (; j + VEC <= width; j += VEC) vec_narrow_store(to + j, vec_load(from + j));
        for (; j < width; j++) to[j] = mega_to_bf16(from[j]);
    }
}

/* for each vector of the lane's channels, the groups that its lanes belong to */
static inline ivec *groups_of_channels(const struct share *s, struct mega_arena *scratch)
{
    int64_t n = s->n * s->size, vectors = (n + VEC - 1) / VEC;
    ivec *of = mega_arena_get(scratch, (size_t)(vectors + 1) * sizeof *of);
    for (int64_t j = 0; j < vectors * VEC; j++)
        of[j / VEC][j % VEC] = j < n ? (int32_t)(j / s->size) : 0;
    return of;
}

/* ---- statistics ---- */

/* n, u, v so far, and what their sums have lost; with the port's means v is M. r: 1 / sqrt(v +
 * eps) */
struct statistics {
    int64_t n;
    float u[ROOM], v[ROOM], lost_u[ROOM], lost_v[ROOM], r[ROOM];
};

static inline int64_t at_least_one(int64_t n)
{
    return n > 1 ? n : 1;
}

/* the variances that groups i ... stand for */
VEC_INLINE vec variances(const struct share *s, const struct statistics *now, int i)
{
    vec v = vec_load(now->v + i);
    if (!s->means) return v;
    return vec_max(v / (float)at_least_one(now->n), vec_all(FLOOR_OF_MEANS));
}

static inline void set_factors(const struct share *s, struct statistics *now)
{
    float v[ROOM];
    EACH_VEC(i) vec_store(v + i, variances(s, now, i) + s->eps);
    for (int g = 0; g < GROUPS; g++) now->r[g] = 1 / sqrtf(v[g]);
}

/* as a row or a document starts; NULL: mean 0, variance 1 */
static inline void start(const struct share *s, struct statistics *now, int64_t n,
    const float *mean, const float *variance_of_start)
{
    *now = (struct statistics){ .n = n };
    for (int g = 0; g < s->n; g++) {
        now->u[g] = mean ? mean[s->first + g] : 0;
        now->v[g] = variance_of_start ? variance_of_start[s->first + g] : 1;
        /* without places before it the variance counts for nothing: 1 would cost digits */
        if (s->means)
            now->v[g] *= (float)at_least_one(n);
        else if (n == 0)
            now->v[g] = 0;
    }
    set_factors(s, now);
}

static inline void start_fresh(
    const struct share *s, struct statistics *now, const float *prior_var)
{
    if (s->a->prior_count > 0)
        start(s, now, s->a->prior_count, row_of(s->c->in[PRIOR_MEAN], 0), prior_var);
    else
        start(s, now, 0, NULL, NULL);
}

/* exp of the prior's logarithms; NULL without a prior */
static inline const float *prior_variance(const struct share *s, struct mega_arena *scratch)
{
    if (s->a->prior_count <= 0) return NULL;
    const float *log_of = row_of(s->c->in[PRIOR_LOGV], 0);
    float *v = mega_arena_get(scratch, (size_t)s->a->groups * sizeof *v);
    for (int64_t g = 0; g < s->a->groups; g++) v[g] = expf(log_of[g]);
    return v;
}

static inline void start_row(
    const struct share *s, struct statistics *now, const float *prior_var)
{
    const struct mega_call *c = s->c;
    if (takes_state(s))
        start(s, now, count_of(s), row_of(c->in[MEAN], s->b), row_of(c->in[VAR], s->b));
    else
        start_fresh(s, now, prior_var);
}

/* mean and population variance of each group's numbers */
static inline void moments(
    const struct share *s, const float *x, float mean[ROOM], float spread[ROOM])
{
    vec sums[GROUPS], squares[GROUPS];
    float share = 1 / (float)s->size;
    for (int g = 0; g < GROUPS; g++) {
        vec sum = { 0 };
        if (g < s->n) EACH_SPOT(s, p, g) sum += own(s, &p, fetch(x, &p));
        sums[g] = sum;
    }
    totals(sums, mean);
    EACH_VEC(i) vec_store(mean + i, vec_load(mean + i) * share);
    for (int g = 0; g < GROUPS; g++) {
        vec sum = { 0 };
        if (g < s->n) EACH_SPOT(s, p, g)
            {
                vec d = own(s, &p, fetch(x, &p) - mean[g]);
                sum += d * d;
            }
        squares[g] = sum;
    }
    totals(squares, spread);
    EACH_VEC(i) vec_store(spread + i, vec_load(spread + i) * share);
}

/* sum + by, with what the sum has lost so far */
VEC_INLINE void add_exactly(float *sum, float *lost, vec by)
{
    vec old = vec_load(sum), in = by - vec_load(lost), next = old + in;
    vec_store(lost, (next - old) - in);
    vec_store(sum, next);
}

/* takes a real place in */
static inline void advance(
    const struct share *s, struct statistics *now, const float *mean, const float *spread)
{
    now->n++;
    float c = (float)(1 / (double)now->n), rest = 1 - c;
    EACH_VEC(i)
    {
        vec e = vec_load(mean + i) - vec_load(now->u + i), between = rest * e * e;
        vec step = c * (vec_load(spread + i) + between - vec_load(now->v + i));
        add_exactly(now->u + i, now->lost_u + i, c * e);
        add_exactly(now->v + i, now->lost_v + i, s->means ? between : step);
    }
}

static inline float *kept_at(const struct share *s, int64_t t)
{
    return row_of(s->c->saved[0], s->b * s->T + t) + s->first;
}

#endif
