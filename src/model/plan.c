#include "model/plan.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 8000 }; /* modules, and executions */

struct letters {
    char at[MOST + 1];
    int64_t n;
};

static void add_times(struct letters *l, const char *block, int64_t times)
{
    for (; times > 0; times--)
        for (const char *p = block; *p && l->n < MOST; p++) l->at[l->n++] = *p;
}

static const char *base_block(const struct mega_plan_options *o)
{
    static const char *const blocks[2][4] = { { "af", "acf", "cf", "cf" },
        { "faf", "facf", "fcf", "fcf" } };
    return blocks[o->macaron][(o->cross_attend ? 1 : 0) + (o->only_cross ? 2 : 0)];
}

/* a^s (block)^(L - s) f^s */
static void sandwich(const struct mega_plan_options *o, struct letters *l)
{
    add_times(l, o->only_cross ? "c" : "a", o->sandwich_coef);
    add_times(l, base_block(o), o->layers - o->sandwich_coef);
    add_times(l, "f", o->sandwich_coef);
}

/* (a f^(w-1))^A and feed-forwards up to the end, with attention in the first two thirds alone
 */
static void par(const struct mega_plan_options *o, struct letters *l)
{
    int64_t blocks = (int64_t)strlen(base_block(o)), all = blocks * o->layers,
            attentions = all / o->par_ratio, cut = 2 * all / 3;
    if (attentions < 1) attentions = 1;
    int64_t width = (cut + cut / attentions) / attentions;
    char attention[3] = { base_block(o)[0], 0, 0 };
    if (o->cross_attend && !o->only_cross) attention[1] = 'c';
    for (int64_t i = 0; i < attentions && l->n < all; i++) {
        add_times(l, attention, 1);
        add_times(l, "f", width - (int64_t)strlen(attention));
    }
    if (l->n > all) l->n = all;
    add_times(l, "f", all - l->n);
}

static mega_status both(const char *a, const char *b)
{
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s and %s are both given, but each says what the layers are: expected one of them", a,
        b);
}

/* at most one of those that say what the layers are */
static mega_status check_exclusive(const struct mega_plan_options *o)
{
    const struct {
        const char *name;
        bool on;
    } ways[] = { { "sandwich_coef", o->sandwich_coef > 0 }, { "par_ratio", o->par_ratio > 0 },
        { "layer_types", o->layer_types && *o->layer_types },
        { "weight_tie_layers", o->tied } };
    for (int i = 0; i < 4; i++)
        for (int k = i + 1; k < 4; k++)
            if (ways[i].on && ways[k].on) return both(ways[i].name, ways[k].name);
    if (o->macaron)
        for (int i = 0; i < 3; i++)
            if (ways[i].on) return both("macaron", ways[i].name);
    return MEGA_OK;
}

static mega_status check(const struct mega_plan_options *o)
{
    MEGA_TRY(check_exclusive(o));
    if (o->layers < 1 && !(o->layer_types && *o->layer_types))
        return mega_fail(
            MEGA_BAD_ARGUMENT, "layers is %lld, expected at least 1", (long long)o->layers);
    if (o->sandwich_coef < 0 || o->sandwich_coef > o->layers)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "sandwich_coef is %lld and layers is %lld: expected from 1 to the number of layers",
            (long long)o->sandwich_coef, (long long)o->layers);
    int64_t all = (int64_t)strlen(base_block(o)) * o->layers;
    if (o->par_ratio && (o->par_ratio < 2 || o->par_ratio > all))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "par_ratio is %lld and layers is %lld: expected from 2 to the number of sublayers, "
            "%lld",
            (long long)o->par_ratio, (long long)o->layers, (long long)all);
    if (o->layer_types)
        for (const char *p = o->layer_types; *p; p++)
            if (!strchr("acf", *p))
                return mega_fail(MEGA_BAD_ARGUMENT,
                    "layer_types is '%.60s', expected a word of the letters a (attention), c "
                    "(attention to a context), f (feed-forward)",
                    o->layer_types);
    return MEGA_OK;
}

static void lay_letters(const struct mega_plan_options *o, struct letters *l)
{
    if (o->layer_types && *o->layer_types)
        add_times(l, o->layer_types, 1);
    else if (o->sandwich_coef)
        sandwich(o, l);
    else if (o->par_ratio)
        par(o, l);
    else
        add_times(l, base_block(o), o->tied ? 1 : o->layers);
}

static void *room(struct mega_arena *arena, int64_t n, size_t size)
{
    return mega_arena_zeroed(arena, (size_t)(n + 1) * size);
}

static mega_status lay_modules(
    struct mega_layer_plan *p, const struct mega_plan_options *o, struct mega_arena *arena)
{
    struct letters l = { .n = 0 };
    lay_letters(o, &l);
    if (l.n >= MOST)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "a plan of %d sublayers or more is not supported", MOST);
    p->modules = l.n;
    p->kind = room(arena, l.n, sizeof *p->kind);
    p->half = room(arena, l.n, sizeof *p->half);
    if (!p->kind || !p->half) return mega_fail(MEGA_NO_MEMORY, "no memory for a plan");
    for (int64_t k = 0; k < l.n; k++) {
        p->kind[k] = l.at[k] == 'f'   ? MEGA_BRANCH_MLP
                     : l.at[k] == 'c' ? MEGA_BRANCH_CROSS
                                      : MEGA_BRANCH_ATTENTION;
        p->half[k] = o->macaron && l.at[k] == 'f';
        p->count[p->kind[k]]++;
    }
    return MEGA_OK;
}

/* [first, last, times] of base blocks, each `size` executions long */
static mega_status check_repeat(const struct mega_ints *r, int64_t blocks)
{
    int64_t first = mega_ints_at(r, 0), last = mega_ints_at(r, 1), times = mega_ints_at(r, 2);
    if (r->n == 3 && first >= 0 && first <= last && last < blocks && times >= 1 && times <= 100)
        return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "repeat_blocks has %d numbers or blocks that are not there: expected [first, last, "
        "times], blocks from 0 to %lld",
        r->n, (long long)blocks - 1);
}

static mega_status add_step(struct mega_layer_plan *p, int64_t module, int64_t block)
{
    if (p->steps >= MOST)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "a plan of %d executions or more is not supported", MOST);
    p->step[p->steps] = module;
    p->block[p->steps++] = block;
    return MEGA_OK;
}

static mega_status lay_order(struct mega_layer_plan *p, const struct mega_ints *order)
{
    int64_t n = order->n ? order->n : 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = mega_ints_at(order, i);
        if (k < 0 || k >= p->modules)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "layer_order has the sublayer %lld, but there are sublayers 0 to %lld",
                (long long)k, (long long)p->modules - 1);
        MEGA_TRY(add_step(p, k, -1));
    }
    return MEGA_OK;
}

static mega_status lay_steps(
    struct mega_layer_plan *p, const struct mega_plan_options *o, struct mega_arena *arena)
{
    bool by_hand = (o->layer_types && *o->layer_types) || o->sandwich_coef || o->par_ratio,
         ordered = o->layer_order.n || o->layer_order.each > 0,
         repeats = o->repeat.n || o->repeat.each > 0;
    p->step = room(arena, MOST, sizeof *p->step);
    p->block = room(arena, MOST, sizeof *p->block);
    if (!p->step || !p->block) return mega_fail(MEGA_NO_MEMORY, "no memory for a plan");
    if (ordered && o->tied) return both("layer_order", "weight_tie_layers");
    if (ordered && repeats) return both("layer_order", "repeat_blocks");
    if (repeats && by_hand)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "repeat_blocks needs blocks, but the layers are given by layer_types, "
            "sandwich_coef or par_ratio: expected layer_order there");
    if (ordered) return lay_order(p, &o->layer_order);
    int64_t size = by_hand ? p->modules : (int64_t)strlen(base_block(o)),
            blocks = by_hand ? 1 : o->layers;
    if (repeats) MEGA_TRY(check_repeat(&o->repeat, blocks));
    int64_t first = repeats ? mega_ints_at(&o->repeat, 0) : 0,
            last = repeats ? mega_ints_at(&o->repeat, 1) : -1,
            again = repeats ? mega_ints_at(&o->repeat, 2) - 1 : 0;
    for (int64_t i = 0; i < blocks; i++) {
        for (int64_t k = 0; k < size; k++)
            MEGA_TRY(add_step(p, o->tied ? k : i * size + k, by_hand ? -1 : i));
        if (i == last && again-- > 0) i = first - 1;
    }
    return MEGA_OK;
}

int64_t mega_plan_loops(const struct mega_plan_options *o, bool training)
{
    int64_t loops = training || !o->eval_loops ? o->loops : o->eval_loops;
    return loops > 1 ? loops : 1;
}

/* as often as training or evaluation wants it */
static mega_status lay_loops(struct mega_layer_plan *p, const struct mega_plan_options *o)
{
    int64_t in_training = mega_plan_loops(o, true), otherwise = mega_plan_loops(o, false),
            loops = in_training > otherwise ? in_training : otherwise;
    p->pass = p->steps;
    for (int64_t i = p->pass; i < loops * p->pass; i++)
        MEGA_TRY(add_step(p, p->step[i - p->pass], p->block[i - p->pass]));
    return MEGA_OK;
}

mega_status mega_layer_plan_make(
    struct mega_layer_plan *p, const struct mega_plan_options *o, struct mega_arena *arena)
{
    *p = (struct mega_layer_plan){ 0 };
    MEGA_TRY(check(o));
    MEGA_TRY(lay_modules(p, o, arena));
    MEGA_TRY(lay_steps(p, o, arena));
    return lay_loops(p, o);
}
