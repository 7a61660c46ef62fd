/* output_loss, forward. A block of rows meets the classes tile by tile; a tile's logits never
 * leave the cache. With m the largest logit so far, z the sum of exp(s_j - m) and, under a
 * tape, u the sum of exp(s_j - m) w_j, each tile adds its part; a larger m rescales what is
 * there. In the end
 *
 *   log sum exp = m + log z,  dx = (1 + 2 [z-loss] log sum exp) u / z - (1 - e) w_y - e/V sum_j
 * w_j
 *
 * is the gradient of x for a loss that counts once: it is kept, with log sum exp, for the
 * backward pass, which needs the logits for the weights alone and makes them a second time:
 * four products of this size where the plain ops make three (docs/adr/0012-output-loss.md).
 * Where classes are few the logits are kept, too; where rows have weights, their losses, which
 * are the weights' gradients.
 *
 * Blocks are lanes; where they are few, groups of tiles are, too, and their parts are joined.
 */
#include <float.h>

#include "kernel/cpu/isa/output_loss.h"
#include "kernel/cpu/vector_math.h"

enum {
    X = MEGA_OUTPUT_LOSS_X,
    W = MEGA_OUTPUT_LOSS_W,
    BIAS = MEGA_OUTPUT_LOSS_BIAS,
    TARGET = MEGA_OUTPUT_LOSS_TARGET,
    MORE = MEGA_OUTPUT_LOSS_MORE,
    WEIGHT = MEGA_OUTPUT_LOSS_WEIGHT
};

static bool accepts(const struct mega_call *c, const char **why)
{
    mega_dtype type = c->in[X]->dtype;
    *why = "float32 parameters, activations of float32 or bfloat16";
    for (int i = W; i <= WEIGHT; i++)
        if (c->in[i] && i != TARGET && c->in[i]->dtype != MEGA_F32) return false;
    return type == MEGA_F32 || type == MEGA_BF16;
}

static void keep(const struct mega_call *c, mega_tensor saved[MEGA_SAVED])
{
    int64_t rows = mega_height(c->in[X]);
    saved[0] = mega_shaped(MEGA_F32, 1, rows, 0, 0, 0);
    saved[1] = mega_shaped(c->in[X]->dtype, 2, rows, mega_width(c->in[X]), 0, 0);
    int64_t classes = c->in[W]->dim[0] + mega_dim(c->in[MORE], 0);
    if (output_logits_kept(c))
        saved[2] = mega_shaped(MEGA_F32, 2, classes, mega_matrix_easy_stride(rows), 0, 0);
    if (c->in[WEIGHT]) saved[3] = mega_shaped(MEGA_F32, 1, rows, 0, 0, 0);
}

/* ---- rows that count, for both passes ---- */

void MEGA_ISA_NAME(mega_output_loss_open)(struct output_loss *s, const struct mega_call *c)
{
    int64_t rows = mega_height(c->in[X]), V = c->in[W]->dim[0], M = mega_dim(c->in[MORE], 0);
    const int32_t *target = c->in[TARGET]->data;
    *s = (struct output_loss){ .c = c,
        .a = c->attr,
        .pairs = output_loss_half(c) ? pair_products() : NULL,
        .D = mega_width(c->in[X]),
        .classes = V + M,
        .tile = c->work->tile ? c->work->tile : OUTPUT_LOSS_TILE,
        .block = block_rows(c),
        .row = mega_scratch(c->work, (size_t)rows * sizeof(int32_t)),
        .at = mega_scratch(c->work, (size_t)rows * sizeof(int32_t)) };
    s->tiles = pieces(V, s->tile) + pieces(M, s->tile);
    for (int64_t r = 0; r < rows; r++) {
        if (target[r] < 0) continue;
        s->row[s->rows] = (int32_t)r;
        s->at[s->rows++] = target[r];
    }
}

/* ---- a block meets some tiles ---- */

/* of some rows, so far */
struct sums {
    float *most, *factor; /* what the last tile rescaled by */
    double *sum, *all;    /* of exp(s_j - most); of s_j */
};

struct forward {
    struct output_loss s;
    int64_t blocks, groups; /* of tiles */
    /* each group's sums of each row, [groups * rows] */
    float *most;
    double *sum, *all;
    struct mega_matrix parts; /* of dx, not yet divided, [.., D]; at NULL: no tape */
    int64_t parts_from;       /* the place among all that their first row has */
    float *logit;             /* [rows] of the target */
    double *loss;             /* [rows] */
    const float *mean; /* [D] of the weights of all classes, where smoothing asks for it */
};

/* e = exp(s_j - most) of the tile's logits, VEC rows at a time; may be in their place */
static void absorb(const struct output_tile *t, struct mega_matrix logits, struct mega_matrix e,
    int64_t m, const struct sums *to)
{
    for (int64_t r = 0; r < m; r += VEC) {
        vec before = vec_load(to->most + r), most = before, all = { 0 }, sum = { 0 };
        for (int64_t j = 0; j < t->n; j++) {
            vec v = vec_get(mega_matrix_row(logits, j) + r, m - r) + bias_of(t, j);
            most = vec_max(v, most);
            all += v;
        }
        for (int64_t j = 0; j < t->n; j++) {
            vec v = vec_get(mega_matrix_row(logits, j) + r, m - r) + bias_of(t, j);
            vec power = vec_exp_down(v - most);
            vec_store(mega_matrix_row(e, j) + r, power);
            sum += power;
        }
        vec factor = vec_exp_down(before - most);
        vec_store(to->most + r, most);
        vec_store(to->factor + r, factor);
        for (int i = 0; i < VEC; i++) {
            to->sum[r + i] = to->sum[r + i] * (double)factor[i] + (double)sum[i];
            to->all[r + i] += (double)all[i];
        }
    }
}

static void note_targets(const struct forward *f, const struct output_tile *t,
    const struct output_block *b, struct mega_matrix logits)
{
    for (int64_t i = 0; i < b->m; i++) {
        int64_t j = f->s.at[b->first + i] - t->first;
        if (j < 0 || j >= t->n) continue;
        f->logit[b->first + i] = mega_matrix_row(logits, j)[i] + bias_of(t, j);
    }
}

static struct sums begin_sums(int64_t m, struct mega_arena *scratch)
{
    int64_t n = pieces(m, OUTPUT_LOSS_VECTOR) * OUTPUT_LOSS_VECTOR;
    struct sums to = { mega_arena_get(scratch, (size_t)n * sizeof *to.most),
        mega_arena_get(scratch, (size_t)n * sizeof *to.factor),
        mega_arena_zeroed(scratch, (size_t)n * sizeof *to.sum),
        mega_arena_zeroed(scratch, (size_t)n * sizeof *to.all) };
    for (int64_t r = 0; r < n; r++) to.most[r] = -FLT_MAX;
    return to;
}

static float *part_row(const struct forward *f, int64_t place)
{
    return mega_matrix_row(f->parts, place - f->parts_from);
}

/* the part of dx from `place` on += the tile's, on the scale of the largest logit so far */
static void add_part(const struct forward *f, const struct output_tile *t,
    const struct output_block *b, struct mega_matrix e, const struct sums *sums, int64_t place,
    bool first, struct mega_arena *scratch)
{
    const struct output_loss *s = &f->s;
    struct mega_matrix dx = { part_row(f, place), f->parts.stride };
    for (int64_t r = 0; !first && r < b->m; r++)
        if (sums->factor[r] != 1)
            row_functions->scale(
                mega_matrix_row(dx, r), mega_matrix_row(dx, r), sums->factor[r], s->D);
    block_product(s->pairs, b->m, s->D, t->n, turned(e), as_it_lies(t->w), dx, !first, scratch);
}

static void finish(
    const struct forward *f, int64_t first, int64_t m, struct mega_arena *scratch);

static void block_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    struct forward own = *(const struct forward *)arg, *f = &own;
    const struct output_loss *s = &f->s;
    int64_t group = lane / f->blocks, from = s->tiles * group / f->groups,
            to = s->tiles * (group + 1) / f->groups;
    struct output_block b =
        output_block_at(s, lane % f->blocks, mega_arena_get(scratch, output_block_bytes(s)));
    output_block_turn(s, &b, mega_arena_get(scratch, output_turned_bytes(s)));
    struct sums sums = begin_sums(b.m, scratch);
    struct mega_matrix e = mega_matrix_scratch(scratch, s->tile, s->block);
    int64_t place = group * s->rows + b.first;
    if (f->groups == 1 && s->c->saved[1]) {
        f->parts = mega_matrix_scratch(scratch, b.m, s->D);
        f->parts_from = b.first;
    }
    for (int64_t i = from; i < to; i++) {
        struct output_tile t = output_tile_at(s, i);
        struct mega_matrix logits = s->c->saved[2] ? output_kept(s, &t, &b) : e;
        output_logits(s, &t, &b, logits, scratch);
        note_targets(f, &t, &b, logits);
        absorb(&t, logits, e, b.m, &sums);
        if (f->parts.at) add_part(f, &t, &b, e, &sums, place, i == from, scratch);
    }
    memcpy(f->most + place, sums.most, (size_t)b.m * sizeof *sums.most);
    memcpy(f->sum + place, sums.sum, (size_t)b.m * sizeof *sums.sum);
    memcpy(f->all + place, sums.all, (size_t)b.m * sizeof *sums.all);
    if (f->groups == 1) finish(f, b.first, b.m, scratch);
}

/* ---- the groups' parts become losses and dx ---- */

/* to = dx of the i-th row that counts */
static void finish_gradient(const struct forward *f, int64_t i, double log_sum, float *to)
{
    const struct output_loss *s = &f->s;
    const struct mega_attr_cross_entropy *a = &s->a->loss;
    int64_t y = s->at[i], V = s->c->in[W]->dim[0];
    const float *w = y < V ? mega_row(s->c->in[W], y) : mega_row(s->c->in[MORE], y - V);
    row_functions->scale(to, w, (float)(a->smoothing - 1), s->D);
    if (f->mean) row_functions->add_scaled(to, f->mean, -(float)a->smoothing, s->D);
    for (int64_t g = 0; g < f->groups; g++) {
        int64_t place = g * s->rows + i;
        double share = exp((double)f->most[place] - log_sum) * (1 + 2 * a->z * log_sum);
        row_functions->add_scaled(to, part_row(f, place), (float)share, s->D);
    }
}

/* in float32: GCC 12 for ARM breaks down over the largest of numbers that it widens */
static float largest_of(const struct forward *f, int64_t i)
{
    float largest = -INFINITY;
    for (int64_t g = 0; g < f->groups; g++) {
        float here = f->most[g * f->s.rows + i];
        if (here > largest) largest = here;
    }
    return largest;
}

static void finish_row(const struct forward *f, int64_t i, float *gradient)
{
    const struct output_loss *s = &f->s;
    const struct mega_attr_cross_entropy *a = &s->a->loss;
    double most = largest_of(f, i), sum = 0, all = 0;
    for (int64_t g = 0; g < f->groups; g++) {
        int64_t place = g * s->rows + i;
        sum += f->sum[place] * exp((double)f->most[place] - most);
        all += f->all[place];
    }
    double log_sum = most + log(sum), nll = log_sum - (double)f->logit[i];
    f->loss[i] = (1 - a->smoothing) * nll +
                 a->smoothing * (log_sum - all / (double)s->classes) + a->z * log_sum * log_sum;
    int64_t r = s->row[i];
    if (s->c->out[1]) ((float *)s->c->out[1]->data)[r] = (float)nll;
    if (s->c->saved[3]) ((float *)s->c->saved[3]->data)[r] = (float)f->loss[i];
    f->loss[i] *= (double)output_weight(s->c, r);
    if (!f->parts.at) return;
    ((float *)s->c->saved[0]->data)[r] = (float)log_sum;
    void *to = mega_row(s->c->saved[1], r);
    finish_gradient(f, i, log_sum, output_loss_half(s->c) ? gradient : to);
    if (output_loss_half(s->c)) row_functions->narrow(to, gradient, s->D);
}

static void finish(
    const struct forward *f, int64_t first, int64_t m, struct mega_arena *scratch)
{
    float *gradient = mega_arena_get(scratch, (size_t)f->s.D * sizeof *gradient);
    for (int64_t i = first; i < first + m; i++) finish_row(f, i, gradient);
}

static void finish_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    const struct forward *f = arg;
    int64_t first = lane * f->s.block;
    finish(f, first, least(f->s.rows - first, f->s.block), scratch);
}

/* ---- the mean of all weights ---- */

enum { SUMMED = 1024 }; /* classes of a lane */

struct mean {
    const struct output_loss *s;
    float *part; /* [lanes, D] */
};

static void mean_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    (void)scratch;
    const struct mean *k = arg;
    const struct mega_call *c = k->s->c;
    int64_t V = c->in[W]->dim[0], D = k->s->D, end = least((lane + 1) * SUMMED, k->s->classes);
    float *to = memset(k->part + lane * D, 0, (size_t)D * sizeof *to);
    for (int64_t j = lane * SUMMED; j < end; j++)
        row_functions->add_scaled(
            to, j < V ? mega_row(c->in[W], j) : mega_row(c->in[MORE], j - V), 1, D);
}

static const float *mean_weight(const struct output_loss *s)
{
    int64_t lanes = pieces(s->classes, SUMMED);
    struct mean k = { s, mega_scratch(s->c->work, (size_t)(lanes * s->D) * sizeof(float)) };
    mega_lanes(s->c->work, lanes, (double)(s->classes * s->D) / 4, mean_lane, &k);
    float *mean = mega_scratch(s->c->work, (size_t)s->D * sizeof *mean);
    memset(mean, 0, (size_t)s->D * sizeof *mean);
    row_functions->add_rows(mean, k.part, s->D, lanes, s->D);
    row_functions->scale(mean, mean, 1 / (float)s->classes, s->D);
    return mean;
}

/* ---- the whole ---- */

/* rows that do not count */
static void clear(const struct output_loss *s)
{
    const struct mega_call *c = s->c;
    if (s->rows == mega_height(c->in[X])) return;
    if (c->out[1]) mega_tensor_zero(c->out[1]);
    for (int i = 0; i < 4; i++)
        if (c->saved[i] && i != 2) mega_tensor_zero(c->saved[i]);
}

static void forward(const struct mega_call *c)
{
    struct forward f = { 0 };
    struct output_loss *s = &f.s;
    MEGA_ISA_NAME(mega_output_loss_open)(s, c);
    clear(s);
    f.blocks = pieces(s->rows, s->block);
    f.groups = f.blocks ? least(pieces(OUTPUT_LOSS_LANES, f.blocks), s->tiles) : 1;
    int64_t places = f.groups * s->rows;
    f.most = mega_scratch(c->work, (size_t)places * sizeof *f.most);
    f.sum = mega_scratch(c->work, (size_t)places * sizeof *f.sum);
    f.all = mega_scratch(c->work, (size_t)places * sizeof *f.all);
    f.logit = mega_scratch(c->work, (size_t)s->rows * sizeof *f.logit);
    f.loss = mega_scratch(c->work, (size_t)s->rows * sizeof *f.loss);
    if (c->saved[1] && f.groups > 1)
        f.parts =
            mega_matrix_over(mega_scratch(c->work, mega_matrix_bytes(places + 1, s->D)), s->D);
    if (c->saved[1] && s->a->loss.smoothing > 0) f.mean = mean_weight(s);
    double cost = (double)(s->rows * s->D) * (double)s->classes / (c->saved[1] ? 4 : 8);
    mega_lanes(c->work, f.blocks * f.groups, cost, block_lane, &f);
    if (f.groups > 1)
        mega_lanes(c->work, f.blocks, (double)(places * s->D) / 4, finish_lane, &f);
    double sum = 0;
    for (int64_t i = 0; i < s->rows; i++) sum += f.loss[i];
    *(float *)c->out[0]->data = (float)sum;
}

const struct mega_kernel MEGA_ISA_NAME(mega_cpu_output_loss) = {
    .name = MEGA_ISA_TEXT,
    .accepts = accepts,
    .keep = keep,
    .forward = forward,
    .backward = MEGA_ISA_NAME(mega_output_loss_backward),
};
