#include "graph/param.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "op/distance.h"

#define NAMES_RESERVE ((size_t)1 << 30)
#define KEEP_RESERVE ((size_t)1 << 42)
enum { GAP = 16 }; /* parameters start on multiples of 16 numbers: a cache line */

mega_status mega_store_init(struct mega_store *s)
{
    *s = (struct mega_store){ 0 };
    MEGA_TRY(mega_arena_init(&s->names, NAMES_RESERVE));
    mega_status status = mega_arena_init(&s->keep, KEEP_RESERVE);
    if (status) mega_arena_done(&s->names);
    return status;
}

void mega_store_done(struct mega_store *s)
{
    mega_arena_done(&s->names);
    mega_arena_done(&s->keep);
    *s = (struct mega_store){ 0 };
}

size_t mega_build_enter(mega_build *b, const char *format, ...)
{
    size_t used = strlen(b->prefix), room = sizeof b->prefix - used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(b->prefix + used, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n + 2 > room) {
        b->prefix[used] = 0;
        if (!b->status)
            b->status = mega_fail(MEGA_INTERNAL, "the name under %s is too long", b->prefix);
    } else {
        strcat(b->prefix, ".");
    }
    return used;
}

void mega_build_leave(mega_build *b, size_t entered)
{
    b->prefix[entered] = 0;
}

/* the full name, kept in the store; NULL after a failure */
static const char *full_name(mega_build *b, const char *name)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    const char *kept = mega_arena_text(&b->store->names, full);
    if (!kept) b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare %s", full);
    return kept;
}

mega_tensor *mega_param_add(
    mega_build *b, const char *name, struct mega_init init, int rank, const int64_t dim[])
{
    if (b->status) return NULL;
    struct mega_store *s = b->store;
    struct mega_param *p = mega_arena_zeroed(&s->names, sizeof *p);
    const char *full = full_name(b, name);
    if (!p || !full) return NULL;
    if (mega_store_find(s, full)) {
        b->status = mega_fail(MEGA_INTERNAL, "parameter %s is declared twice", full);
        return NULL;
    }
    p->name = full;
    p->init = init;
    p->value = mega_tensor_over(NULL, MEGA_F32, rank, dim);
    p->value.param = p;
    p->value.wants_grad = true;
    p->gradient = mega_tensor_over(NULL, MEGA_F32, rank, dim);
    p->gradient.filled = true; /* always added to */
    p->count = mega_count(&p->value);
    p->offset = s->count;
    s->count += (p->count + GAP - 1) / GAP * GAP;
    s->numbers += p->count;
    s->n_params++;
    if (s->last)
        s->last->next = p;
    else
        s->first = p;
    s->last = p;
    return &p->value;
}

struct mega_cell *mega_cell_add(mega_build *b, const char *name, enum mega_cell_kind kind,
    mega_dtype t, int rank, const int64_t dim[], double fresh)
{
    if (b->status) return NULL;
    struct mega_store *s = b->store;
    struct mega_cell *c = mega_arena_zeroed(&s->names, sizeof *c);
    const char *full = full_name(b, name);
    if (!c || !full) return NULL;
    *c = (struct mega_cell){ .name = full,
        .kind = kind,
        .dtype = t,
        .rank = rank,
        .fresh = fresh,
        .index = s->n_cells++ };
    memcpy(c->dim, dim, (size_t)rank * sizeof *dim);
    if (s->last_cell)
        s->last_cell->next = c;
    else
        s->first_cell = c;
    s->last_cell = c;
    return c;
}

static float *flat(struct mega_store *s)
{
    return mega_arena_zeroed(&s->keep, (size_t)s->count * sizeof(float));
}

mega_status mega_store_lay_out(struct mega_store *s, bool for_training)
{
    s->value = flat(s);
    if (for_training) {
        s->gradient = flat(s);
        s->moment1 = flat(s);
        s->moment2 = flat(s);
    }
    if (!s->value || (for_training && (!s->gradient || !s->moment1 || !s->moment2)))
        return mega_fail(
            MEGA_NO_MEMORY, "no memory for %lld parameters", (long long)s->numbers);
    for (struct mega_param *p = s->first; p; p = p->next) {
        p->value.data = s->value + p->offset;
        if (for_training) p->gradient.data = s->gradient + p->offset;
    }
    for (struct mega_cell *c = s->first_cell; c; c = c->next) {
        if (c->kind != MEGA_CELL_MODEL) continue;
        c->value = mega_tensor_over(NULL, c->dtype, c->rank, c->dim);
        c->next_value = c->value;
        c->value.data = mega_arena_zeroed(&s->keep, mega_size(&c->value));
        c->next_value.data = mega_arena_zeroed(&s->keep, mega_size(&c->value));
        if (!c->value.data || !c->next_value.data)
            return mega_fail(MEGA_NO_MEMORY, "no memory for %s", c->name);
    }
    return MEGA_OK;
}

static double truncated(double deviation, double bound, struct mega_rng *g)
{
    double x;
    do x = deviation * mega_rng_normal(g);
    while (fabs(x) > bound);
    return x;
}

/* the logit of frequency i + 1 of D; a channel alone has 1, which has none */
static double angle(int64_t i, double D)
{
    double f = fmin(exp(-(double)(i + 1) * log(D) / D), 1 - 1e-6);
    return log(f / (1 - f));
}

static double draw(const struct mega_param *p, struct mega_rng *g, int64_t i)
{
    const mega_tensor *t = &p->value;
    const struct mega_init *init = &p->init;
    switch (init->kind) {
    case MEGA_INIT_CONSTANT: return init->a;
    case MEGA_INIT_NORMAL: return init->a + init->b * mega_rng_normal(g);
    case MEGA_INIT_ALTERNATE: {
        int64_t n = i / (t->rank > 2 ? t->dim[2] : 1) % t->dim[1];
        return (n % 2 ? -1 : 1) + init->b * mega_rng_normal(g);
    }
    case MEGA_INIT_PADDED: {
        double value = init->b * mega_rng_normal(g);
        return (double)(i / t->dim[1]) == init->a ? 0 : value;
    }
    case MEGA_INIT_XAVIER: {
        double bound = sqrt(6.0 / (double)(t->dim[0] + t->dim[1]));
        return bound * (2 * mega_rng_unit(g) - 1);
    }
    case MEGA_INIT_STREAMS: {
        int64_t row = i / t->dim[1], column = i % t->dim[1];
        int64_t inputs = (int64_t)init->b + 1;
        return column < inputs ? row == (int64_t)init->a : row == column - inputs;
    }
    case MEGA_INIT_SLOPES: {
        int64_t sides = t->rank > 1 ? t->dim[1] : 1;
        return mega_alibi_slope((int64_t)init->a, i / sides, i % sides > 0);
    }
    case MEGA_INIT_UNIFORM: return init->a + init->b * (2 * mega_rng_unit(g) - 1);
    case MEGA_INIT_FAN_IN: return init->b / sqrt((double)t->dim[1]) * mega_rng_normal(g);
    case MEGA_INIT_TRUNCATED: return truncated(init->b, init->a, g);
    case MEGA_INIT_REAL: return i % 2 ? 0 : init->b * mega_rng_normal(g);
    case MEGA_INIT_ANGLES: return angle(i, (double)p->count);
    case MEGA_INIT_IDENTITY: return i / t->dim[1] == i % t->dim[1];
    }
    return 0;
}

static void shuffle(float *value, int64_t n, struct mega_rng *g)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = mega_rng_below(g, (uint32_t)(i + 1));
        float v = value[i];
        value[i] = value[k];
        value[k] = v;
    }
}

void mega_store_fill(struct mega_store *s, uint64_t seed)
{
    for (struct mega_param *p = s->first; p; p = p->next) {
        struct mega_rng g;
        mega_rng_start(&g, seed, mega_hash_text(p->name));
        float *value = p->value.data;
        for (int64_t i = 0; i < p->count; i++) value[i] = (float)draw(p, &g, i);
        if (p->init.kind == MEGA_INIT_ANGLES) shuffle(value, p->count, &g);
        p->version++;
    }
    for (struct mega_cell *c = s->first_cell; c; c = c->next)
        for (int64_t r = 0; c->kind == MEGA_CELL_MODEL && r < mega_height(&c->value); r++)
            for (int64_t j = 0; j < mega_width(&c->value); j++)
                mega_put(&c->value, r, j, c->fresh);
}

struct mega_param *mega_store_find(const struct mega_store *s, const char *name)
{
    for (struct mega_param *p = s->first; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

struct mega_cell *mega_store_find_cell(const struct mega_store *s, const char *name)
{
    for (struct mega_cell *c = s->first_cell; c; c = c->next)
        if (!strcmp(c->name, name)) return c;
    return NULL;
}

uint64_t mega_store_hash(const struct mega_store *s)
{
    uint64_t h = 0;
    for (const struct mega_param *p = s->first; p; p = p->next) {
        h = mega_hash_join(h, mega_hash_text(p->name));
        h = mega_hash_join(h, mega_hash(p->value.data, mega_size(&p->value)));
    }
    for (const struct mega_cell *c = s->first_cell; c; c = c->next) {
        if (c->kind != MEGA_CELL_MODEL) continue;
        h = mega_hash_join(h, mega_hash_text(c->name));
        h = mega_hash_join(h, mega_hash(c->value.data, mega_size(&c->value)));
    }
    return h;
}
