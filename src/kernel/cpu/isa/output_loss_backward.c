/* output_loss, backward. With d the loss's gradient (times the row's weight), p_j = exp(s_j -
 * log sum exp) and the logits made again, tile by tile, where they were not kept,
 *
 *   ds_j = d ((1 + 2 [z-loss] log sum exp) p_j - e/V - (1 - e) [j = y]),
 *   dw_j = sum over rows of ds_j x,  db_j = sum over rows of ds_j;
 *
 * dx is d times what the forward pass kept. A tile is a lane that walks over all rows; where
 * tiles are few, groups of rows are lanes, too, and their shares are summed in order. */
#include "kernel/cpu/isa/output_loss.h"
#include "kernel/cpu/vector_math.h"

enum {
    X = MEGA_OUTPUT_LOSS_X,
    W = MEGA_OUTPUT_LOSS_W,
    BIAS = MEGA_OUTPUT_LOSS_BIAS,
    MORE = MEGA_OUTPUT_LOSS_MORE,
    WEIGHT = MEGA_OUTPUT_LOSS_WEIGHT
};

struct backward {
    struct output_loss s;
    struct mega_grads *g;
    float each;                 /* d */
    struct output_block *block; /* [blocks] */
    char *rooms, *turned;       /* of the blocks */
    float *log_sum, *own;       /* [rows]; d times the row's weight */
    float *weight;              /* [rows]; own (1 + 2 z log_sum) */
    int64_t blocks, groups;     /* of blocks */
    char *parts;                /* [groups]: dw of all classes, then db; NULL: one group */
};

/* ---- dx ---- */

enum { ROWS = 64 }; /* of a lane */

static void input_row(const struct backward *b, int64_t r, float *room)
{
    mega_tensor *to = b->g->in[X];
    const mega_tensor *kept = b->s.c->saved[1];
    bool add = b->g->add >> X & 1;
    int64_t D = b->s.D;
    float each = b->each * output_weight(b->s.c, r);
    if (!output_loss_half(b->s.c)) {
        (add ? row_functions->add_scaled : row_functions->scale)(
            mega_row(to, r), mega_row(kept, r), each, D);
        return;
    }
    row_functions->widen(room, mega_row(kept, r), D);
    row_functions->scale(room, room, each, D);
    (add ? row_functions->narrow_add : row_functions->narrow)(mega_row(to, r), room, D);
}

static void input_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *b = arg;
    int64_t end = least((lane + 1) * ROWS, mega_height(b->g->in[X]));
    float *room = mega_arena_get(scratch, (size_t)b->s.D * sizeof *room);
    for (int64_t r = lane * ROWS; r < end; r++) input_row(b, r, room);
}

/* ---- dw and db ---- */

/* a block's rows, and what their softmax is made of */
static void prepare_lane(void *arg, int64_t i, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *b = arg;
    const struct output_loss *s = &b->s;
    b->block[i] = output_block_at(s, i, b->rooms + (size_t)i * output_block_bytes(s));
    if (b->turned)
        output_block_turn(s, &b->block[i], b->turned + (size_t)i * output_turned_bytes(s));
    for (int64_t k = b->block[i].first, end = k + b->block[i].m; k < end; k++) {
        b->log_sum[k] = ((const float *)s->c->saved[0]->data)[s->row[k]];
        b->own[k] = b->each * output_weight(s->c, s->row[k]);
        b->weight[k] = b->own[k] * (1 + 2 * (float)s->a->loss.z * b->log_sum[k]);
    }
}

/* ds of the tile's logits; may be in their place */
static void slopes(const struct backward *b, const struct output_tile *t,
    const struct output_block *o, struct mega_matrix logits, struct mega_matrix ds)
{
    const struct mega_attr_cross_entropy *a = &b->s.a->loss;
    float flat = (float)(a->smoothing / (double)b->s.classes), hit = (float)(1 - a->smoothing);
    const float *own = b->own + o->first;
    for (int64_t r = 0; r < o->m; r += VEC) {
        vec log_sum = vec_get(b->log_sum + o->first + r, o->m - r),
            weight = vec_get(b->weight + o->first + r, o->m - r),
            all = vec_get(own + r, o->m - r) * flat;
        for (int64_t j = 0; j < t->n; j++) {
            vec v = vec_get(mega_matrix_row(logits, j) + r, o->m - r) + bias_of(t, j);
            vec_store(mega_matrix_row(ds, j) + r, weight * vec_exp(v - log_sum) - all);
        }
    }
    for (int64_t i = 0; i < o->m; i++) {
        int64_t j = b->s.at[o->first + i] - t->first;
        if (j >= 0 && j < t->n) mega_matrix_row(ds, j)[i] -= own[i] * hit;
    }
}

/* where a lane sums */
struct sums {
    struct mega_matrix dw; /* [n, D]; at NULL: not wanted, as db */
    float *db;
    bool add_w, add_b; /* to what is there */
};

static size_t part_bytes(const struct backward *b)
{
    return mega_matrix_bytes(b->s.classes, b->s.D) + mega_matrix_bytes(1, b->s.classes);
}

static struct mega_matrix part_weights(const struct backward *b, int64_t group)
{
    return mega_matrix_over(b->parts + (size_t)group * part_bytes(b), b->s.D);
}

static float *part_biases(const struct backward *b, int64_t group)
{
    return mega_matrix_row(part_weights(b, group), b->s.classes);
}

static struct sums sums_of(const struct backward *b, const struct output_tile *t, int64_t group)
{
    struct mega_grads *g = b->g;
    struct sums to = { .add_w = g->add >> t->input & 1, .add_b = g->add >> BIAS & 1 };
    if (g->in[t->input]) to.dw = mega_matrix_of(g->in[t->input], t->row, 0);
    if (g->in[BIAS]) to.db = (float *)g->in[BIAS]->data + t->first;
    if (!b->parts) return to;
    to.add_w = to.add_b = false;
    if (to.dw.at) to.dw = part_weights(b, group);
    if (to.dw.at) to.dw.at = mega_matrix_row(to.dw, t->first);
    if (to.db) to.db = part_biases(b, group) + t->first;
    return to;
}

static void tile_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct backward *b = arg;
    const struct output_loss *s = &b->s;
    struct output_tile t = output_tile_at(s, lane % s->tiles);
    int64_t group = lane / s->tiles, end = b->blocks * (group + 1) / b->groups;
    struct sums to = sums_of(b, &t, group);
    struct mega_matrix ds = mega_matrix_scratch(scratch, s->tile, s->block);
    if (!to.dw.at && !to.db) return;
    for (int64_t i = b->blocks * group / b->groups; i < end; i++) {
        const struct output_block *o = &b->block[i];
        bool kept = s->c->saved[2] != NULL;
        if (!kept) output_logits(s, &t, o, ds, scratch);
        slopes(b, &t, o, kept ? output_kept(s, &t, o) : ds, ds);
        if (to.dw.at)
            block_product(s->pairs, t.n, s->D, o->m, as_it_lies(ds), as_it_lies(o->x), to.dw,
                to.add_w, scratch);
        for (int64_t j = 0; to.db && j < t.n; j++)
            to.db[j] =
                row_functions->sum(mega_matrix_row(ds, j), o->m) + (to.add_b ? to.db[j] : 0);
        to.add_w = to.add_b = true;
    }
}

/* some classes' rows of dw, and db: the groups' shares in order */
static void total_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct backward *b = arg;
    struct output_tile t = output_tile_at(&b->s, lane);
    mega_tensor *dw = b->g->in[t.input], *db = b->g->in[BIAS];
    for (int64_t j = 0; dw && j < t.n; j++)
        total_groups(mega_row(dw, t.row + j), b->g->add >> t.input & 1,
            mega_matrix_row(part_weights(b, 0), t.first + j), part_bytes(b), b->groups, b->s.D);
    if (db)
        total_groups((float *)db->data + t.first, b->g->add >> BIAS & 1,
            part_biases(b, 0) + t.first, part_bytes(b), b->groups, t.n);
}

static void weights_backward(struct backward *b)
{
    const struct output_loss *s = &b->s;
    struct mega_work *work = s->c->work;
    b->blocks = pieces(s->rows, s->block);
    b->groups = least(pieces(OUTPUT_LOSS_LANES, s->tiles), b->blocks);
    b->block = mega_scratch(work, (size_t)b->blocks * sizeof *b->block);
    b->rooms = mega_scratch(work, (size_t)b->blocks * output_block_bytes(s));
    if (!s->c->saved[2])
        b->turned = mega_scratch(work, (size_t)b->blocks * output_turned_bytes(s));
    b->log_sum = mega_scratch(work, (size_t)s->rows * sizeof *b->log_sum);
    b->weight = mega_scratch(work, (size_t)s->rows * sizeof *b->weight);
    b->own = mega_scratch(work, (size_t)s->rows * sizeof *b->own);
    if (b->groups > 1) b->parts = mega_scratch(work, (size_t)b->groups * part_bytes(b));
    double cost = (double)(s->rows * s->D) * (double)s->classes / 4;
    mega_lanes(work, b->blocks, (double)(s->rows * s->D), prepare_lane, b);
    mega_lanes(work, s->tiles * b->groups, cost, tile_lane, b);
    if (b->parts)
        mega_lanes(work, s->tiles, (double)(b->groups * s->classes * s->D) / 4, total_lane, b);
}

/* the gradients of the rows' weights: their losses */
static void row_weights_backward(const struct backward *b, int64_t rows)
{
    const float *loss = b->s.c->saved[3]->data;
    float *to = b->g->in[WEIGHT]->data;
    (b->g->add >> WEIGHT & 1 ? row_functions->add_scaled : row_functions->scale)(
        to, loss, b->each, rows);
}

void MEGA_ISA_NAME(mega_output_loss_backward)(const struct mega_call *c, struct mega_grads *g)
{
    struct backward b = { .g = g };
    if (g->out[0]) MEGA_ISA_NAME(mega_output_loss_open)(&b.s, c);
    if (!b.s.rows) {
        mega_grads_begin(g);
        g->touched &= ~(1u << X | 1u << W | 1u << BIAS | 1u << MORE | 1u << WEIGHT);
        return;
    }
    b.each = *(const float *)g->out[0]->data;
    int64_t rows = mega_height(c->in[X]);
    if (g->in[WEIGHT]) row_weights_backward(&b, rows);
    if (g->in[X])
        mega_lanes(c->work, pieces(rows, ROWS), (double)(rows * b.s.D) / 2, input_lane, &b);
    if (g->in[W] || g->in[MORE] || g->in[BIAS]) weights_backward(&b);
}
