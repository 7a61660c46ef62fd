#include "data/listops_make.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"

/* ---- one tree ---- */

struct growth {
    const struct mega_listops_set *set;
    struct mega_rng rng;
    int32_t *id; /* room for max_length tokens */
    int64_t n;
};

static bool add(struct growth *g, int32_t id)
{
    if (g->n >= g->set->max_length - 1)
        return false; /* too long already: max_length is an open bound */
    g->id[g->n++] = id;
    return true;
}

/* LRA's order of draws: leaf or not, number of arguments, the arguments, and the operator last
 */
static bool grow(struct growth *g, int64_t depth)
{
    if (depth >= g->set->depth || mega_rng_unit(&g->rng) > 0.25)
        return add(g, MEGA_LISTOPS_DIGIT + (int32_t)mega_rng_below(&g->rng, 10));
    int64_t arguments = 2 + mega_rng_below(&g->rng, (uint32_t)(g->set->args - 1)), at = g->n;
    if (!add(g, 0)) return false;
    for (int64_t i = 0; i < arguments; i++)
        if (!grow(g, depth + 1)) return false;
    g->id[at] = MEGA_LISTOPS_MIN + (int32_t)mega_rng_below(&g->rng, 4);
    return add(g, MEGA_LISTOPS_CLOSE);
}

/* ---- many trees ---- */

enum { LANE = 512, LANES = 64 }; /* candidates of a lane, lanes of a round */

/* accepted trees of one lane, one after the other */
struct found {
    int32_t *id;
    int64_t size, room; /* numbers */
    int32_t length[LANE];
    int64_t n;
    bool failed;
};

struct round {
    const struct mega_listops_set *set;
    uint64_t first; /* number of the round's first candidate */
    struct found *found;
};

static bool keep(struct found *f, const int32_t *id, int64_t n)
{
    if (f->size + n > f->room) {
        int64_t room = 2 * (f->size + n);
        int32_t *more = realloc(f->id, (size_t)room * sizeof *more);
        if (!more) return false;
        f->id = more;
        f->room = room;
    }
    memcpy(f->id + f->size, id, (size_t)n * sizeof *id);
    f->size += n;
    f->length[f->n++] = (int32_t)n;
    return true;
}

/* candidate number i is a function of (seed, i) alone */
static void make_lane(void *arg, int64_t lane, struct mega_arena *scratch)
{
    struct round *r = arg;
    struct found *f = &r->found[lane];
    struct growth g = { .set = r->set,
        .id = mega_arena_get(scratch, (size_t)r->set->max_length * sizeof(int32_t)) };
    f->n = f->size = 0;
    f->failed = !g.id;
    for (int64_t i = 0; i < LANE && !f->failed; i++) {
        mega_rng_start(&g.rng, (uint64_t)r->set->seed, r->first + (uint64_t)(lane * LANE + i));
        g.n = 0;
        if (grow(&g, 1) && g.n > r->set->min_length) f->failed = !keep(f, g.id, g.n);
    }
}

/* the distinct trees so far, and their hashes in a table of open addressing */
struct collection {
    int32_t **tree;
    int32_t *length;
    int64_t n, wanted;
    uint64_t *table, mask;
};

static bool is_new(struct collection *c, const int32_t *id, int64_t n)
{
    uint64_t h = mega_hash(id, (size_t)n * sizeof *id) | 1, at = h;
    while (c->table[at & c->mask]) {
        if (c->table[at & c->mask] == h) return false;
        at++;
    }
    c->table[at & c->mask] = h;
    return true;
}

static mega_status collect(struct collection *c, const struct found *f)
{
    if (f->failed) return mega_fail(MEGA_NO_MEMORY, "no memory to grow trees");
    const int32_t *id = f->id;
    for (int64_t i = 0; i < f->n && c->n < c->wanted; id += f->length[i++]) {
        if (!is_new(c, id, f->length[i])) continue;
        size_t size = (size_t)f->length[i] * sizeof *id;
        c->tree[c->n] = malloc(size);
        if (!c->tree[c->n])
            return mega_fail(MEGA_NO_MEMORY, "no memory for %lld trees", (long long)c->wanted);
        memcpy(c->tree[c->n], id, size);
        c->length[c->n++] = f->length[i];
    }
    return MEGA_OK;
}

#define PATIENCE                                                                               \
    ((uint64_t)50 * 1000 * 1000) /* draws without a new tree after which the search ends */

static mega_status search(struct mega_work *work, const struct mega_listops_set *set,
    struct collection *c, struct found *found, void (*progress)(void *, int64_t, int64_t),
    void *arg)
{
    struct round r = { .set = set, .found = found };
    uint64_t idle = 0;
    while (c->n < c->wanted) {
        int64_t before = c->n;
        mega_lanes(work, LANES, 1e9, make_lane, &r);
        for (int i = 0; i < LANES; i++) MEGA_TRY(collect(c, &found[i]));
        r.first += LANE * LANES;
        idle = c->n > before ? 0 : idle + LANE * LANES;
        if (idle >= PATIENCE)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "found %lld distinct trees of the %lld wanted, and none in the last %llu "
                "draws: ask for fewer, or widen the lengths, depth or arguments",
                (long long)c->n, (long long)c->wanted, (unsigned long long)idle);
        if (progress) progress(arg, c->n, c->wanted);
    }
    return MEGA_OK;
}

/* ---- what can never be met ---- */

static mega_status check(const struct mega_listops_set *s)
{
    if (s->train < 0 || s->valid < 0 || s->test < 0 || s->train + s->valid + s->test < 1)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "no trees are asked for: give --train, --valid or --test");
    if (s->depth < 1 || s->depth > 100 || s->args < 2 || s->args > 1000)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "depth %lld and args %lld: expected a depth of 1 to 100 and 2 to 1000 arguments",
            (long long)s->depth, (long long)s->args);
    if (s->max_length - s->min_length < 2 || s->min_length < 0 ||
        s->max_length > 10 * 1000 * 1000)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "no length lies between %lld and %lld: both bounds are open",
            (long long)s->min_length, (long long)s->max_length);
    /* the longest tree: every node above the last level has all its arguments */
    double longest = 1;
    for (int64_t d = s->depth - 1; d >= 1; d--) longest = 2 + (double)s->args * longest;
    if (longest <= (double)s->min_length)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "trees of depth %lld with %lld arguments have at most %.0f tokens, but more than "
            "%lld are asked for",
            (long long)s->depth, (long long)s->args, longest, (long long)s->min_length);
    /* lengths are 1, or 4 and more */
    if (s->min_length >= 1 && s->max_length <= 4)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "no tree has more than %lld and fewer than %lld tokens", (long long)s->min_length,
            (long long)s->max_length);
    if ((s->depth == 1 || s->max_length <= 4) && s->train + s->valid + s->test > 10)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%lld distinct trees are asked for, but only the 10 digits are allowed",
            (long long)(s->train + s->valid + s->test));
    return MEGA_OK;
}

/* ---- files ---- */

static mega_status write_file(
    const char *folder, const char *name, const struct collection *c, int64_t from, int64_t n)
{
    struct mega_text path = { 0 }, line = { 0 };
    struct mega_writer w;
    mega_text_add(&path, "%s/%s", folder, name);
    mega_status status = path.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", name)
                                     : mega_writer_open(&w, path.data);
    mega_text_done(&path);
    if (status) return status;
    mega_writer_add(&w, "Source\tTarget\n", 14);
    for (int64_t i = from; i < from + n; i++) {
        mega_text_clear(&line);
        mega_listops_print(c->tree[i], c->length[i], &line);
        mega_text_add(&line, "\t%d\n", mega_listops_value(c->tree[i], c->length[i]));
        mega_writer_add(&w, line.data, line.size);
    }
    if (line.failed) w.status = mega_fail(MEGA_NO_MEMORY, "no memory to write %s", name);
    mega_text_done(&line);
    return mega_writer_commit(&w);
}

static void shuffle(struct collection *c, uint64_t seed)
{
    struct mega_rng g;
    mega_rng_start(&g, seed, mega_hash_text("listops.order"));
    for (int64_t i = c->n - 1; i > 0; i--) {
        int64_t k = mega_rng_below(&g, (uint32_t)(i + 1));
        int32_t *tree = c->tree[i], length = c->length[i];
        c->tree[i] = c->tree[k];
        c->length[i] = c->length[k];
        c->tree[k] = tree;
        c->length[k] = length;
    }
}

static mega_status write_set(
    const struct mega_listops_set *set, const char *folder, struct collection *c)
{
    shuffle(c, (uint64_t)set->seed);
    MEGA_TRY(mega_folder_make(folder));
    MEGA_TRY(write_file(folder, "basic_train.tsv", c, 0, set->train));
    MEGA_TRY(write_file(folder, "basic_val.tsv", c, set->train, set->valid));
    return write_file(folder, "basic_test.tsv", c, set->train + set->valid, set->test);
}

mega_status mega_listops_make(struct mega_work *work, const struct mega_listops_set *set,
    const char *folder, void (*progress)(void *, int64_t, int64_t), void *arg)
{
    MEGA_TRY(check(set));
    struct collection c = { .wanted = set->train + set->valid + set->test, .mask = 1023 };
    while (c.mask < 4 * (uint64_t)c.wanted) c.mask = 2 * c.mask + 1;
    c.tree = calloc((size_t)c.wanted, sizeof *c.tree);
    c.length = calloc((size_t)c.wanted, sizeof *c.length);
    c.table = calloc((size_t)c.mask + 1, sizeof *c.table);
    struct found *found = calloc(LANES, sizeof *found);
    mega_status status = MEGA_OK;
    if (!c.tree || !c.length || !c.table || !found)
        status = mega_fail(MEGA_NO_MEMORY, "no memory for %lld trees", (long long)c.wanted);
    if (!status) status = search(work, set, &c, found, progress, arg);
    if (!status) status = write_set(set, folder, &c);
    for (int64_t i = 0; i < c.n; i++) free(c.tree[i]);
    for (int i = 0; found && i < LANES; i++) free(found[i].id);
    free(found);
    free(c.tree);
    free(c.length);
    free(c.table);
    return status;
}
