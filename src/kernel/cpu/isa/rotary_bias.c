/* rotary_bias in float32, angles in double: entries n-1+e and n-1-e share their cosines and
 * sines, and from one e to the next each pair turns by its own angle. Lanes of e begin with
 * exact angles. With P = A B + A' B' and Q = A' B - A B':
 *   bias[n-1+e] = sum_m P_m cos(e theta_m) + Q_m sin(e theta_m) */
#include "kernel/cpu/row_lanes.h"

typedef double pair __attribute__((vector_size(VEC * 4)));
enum { PAIR = VEC / 2, STEPS = 256 /* of e a lane */ };

struct rotary {
    const struct mega_call *c;
    struct mega_grads *g;
    int64_t n, half, vectors; /* of pairs */
    double *sums;             /* [lanes, 2, vectors * PAIR]: sums of d cos and d sin */
};

/* Cosines and sines of all angles at one e, their turn from one e to the next, P and Q. */
struct turning {
    pair *cos, *sin, *turn_cos, *turn_sin, *P, *Q;
};

static float parameter(const struct mega_call *c, int i, int64_t m)
{
    return ((const float *)c->in[i]->data)[m];
}

/* room for one number a pair of channels, zero beyond the last */
static pair *room(const struct rotary *r, struct mega_arena *scratch)
{
    return mega_arena_zeroed(scratch, (size_t)r->vectors * sizeof(pair));
}

static struct turning turning_at(const struct rotary *r, int64_t e, struct mega_arena *scratch)
{
    struct turning t = { room(r, scratch), room(r, scratch), room(r, scratch), room(r, scratch),
        room(r, scratch), room(r, scratch) };
    for (int64_t m = 0; m < r->half; m++) {
        double theta = exp(-(double)m * log(10000.0) / (double)r->half);
        double a = (double)parameter(r->c, 0, m), a2 = (double)parameter(r->c, 0, m + r->half),
               b = (double)parameter(r->c, 1, m), b2 = (double)parameter(r->c, 1, m + r->half);
        t.cos[m / PAIR][m % PAIR] = cos((double)e * theta);
        t.sin[m / PAIR][m % PAIR] = sin((double)e * theta);
        t.turn_cos[m / PAIR][m % PAIR] = cos(theta);
        t.turn_sin[m / PAIR][m % PAIR] = sin(theta);
        t.P[m / PAIR][m % PAIR] = a * b + a2 * b2;
        t.Q[m / PAIR][m % PAIR] = a2 * b - a * b2;
    }
    return t;
}

VEC_INLINE void turn(struct turning *t, int64_t i)
{
    pair c = t->cos[i], s = t->sin[i];
    t->cos[i] = c * t->turn_cos[i] - s * t->turn_sin[i];
    t->sin[i] = s * t->turn_cos[i] + c * t->turn_sin[i];
}

static double total(pair v)
{
    double sum = 0;
    for (int i = 0; i < PAIR; i++) sum += v[i];
    return sum;
}

static int64_t last_step(const struct rotary *r, int64_t from)
{
    return from + STEPS < r->n ? from + STEPS : r->n;
}

static void forward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct rotary *r = arg;
    int64_t from = lane * STEPS;
    struct turning t = turning_at(r, from, scratch);
    float *center = (float *)r->c->out[0]->data + r->n - 1;
    for (int64_t e = from; e < last_step(r, from); e++) {
        pair even = { 0 }, odd = { 0 };
        for (int64_t i = 0; i < r->vectors; i++) {
            even += t.P[i] * t.cos[i];
            odd += t.Q[i] * t.sin[i];
            turn(&t, i);
        }
        center[e] = (float)(total(even) + total(odd));
        center[-e] = (float)(total(even) - total(odd));
    }
}

static void backward_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct rotary *r = arg;
    int64_t from = lane * STEPS;
    struct turning t = turning_at(r, from, scratch);
    const float *center = (const float *)r->g->out[0]->data + r->n - 1;
    pair *by_cos = (pair *)(void *)(r->sums + lane * 2 * r->vectors * PAIR),
         *by_sin = by_cos + r->vectors;
    memset(by_cos, 0, (size_t)(2 * r->vectors) * sizeof *by_cos);
    for (int64_t e = from; e < last_step(r, from); e++) {
        double up = (double)center[e], down = e ? (double)center[-e] : 0;
        for (int64_t i = 0; i < r->vectors; i++) {
            by_cos[i] += (up + down) * t.cos[i];
            by_sin[i] += (up - down) * t.sin[i];
            turn(&t, i);
        }
    }
}

static struct rotary rotary_of(const struct mega_call *c, struct mega_grads *g)
{
    const struct mega_attr_rotary_bias *a = c->attr;
    struct rotary r = { .c = c, .g = g, .n = a->length, .half = mega_width(c->in[0]) / 2 };
    r.vectors = (r.half + PAIR - 1) / PAIR;
    return r;
}

static int64_t run(struct rotary *r, void (*lane)(void *, int64_t, struct mega_arena *))
{
    int64_t lanes = (r->n + STEPS - 1) / STEPS;
    if (r->g)
        r->sums =
            mega_scratch(r->c->work, (size_t)(lanes * 2 * r->vectors * PAIR) * sizeof *r->sums);
    mega_lanes(r->c->work, lanes, (double)(r->n * r->half) * 8, lane, r);
    return lanes;
}

static void forward(const struct mega_call *c)
{
    struct rotary r = rotary_of(c, NULL);
    run(&r, forward_lane);
}

static void backward(const struct mega_call *c, struct mega_grads *g)
{
    if (nothing_arrived(c, g)) return;
    struct rotary r = rotary_of(c, g);
    int64_t lanes = run(&r, backward_lane), width = r.vectors * PAIR;
    for (int64_t k = 1; k < lanes; k++)
        for (int64_t m = 0; m < 2 * width; m++) r.sums[m] += r.sums[k * 2 * width + m];
    for (int64_t m = 0; m < r.half; m++) {
        double by_cos = r.sums[m], by_sin = r.sums[width + m];
        double a = (double)parameter(c, 0, m), a2 = (double)parameter(c, 0, m + r.half),
               b = (double)parameter(c, 1, m), b2 = (double)parameter(c, 1, m + r.half);
        give_sum(g, 0, m, b * by_cos - b2 * by_sin);
        give_sum(g, 0, m + r.half, b2 * by_cos + b * by_sin);
        give_sum(g, 1, m, a * by_cos + a2 * by_sin);
        give_sum(g, 1, m + r.half, a2 * by_cos - a * by_sin);
    }
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_rotary_bias) = {
    .name = MEGA_ISA_TEXT, .accepts = rows_accept, .forward = forward, .backward = backward
};
