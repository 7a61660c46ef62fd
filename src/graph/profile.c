#include "graph/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "op/op.h"

mega_status mega_profile_new(struct mega_profile **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a profile");
}

void mega_profile_free(struct mega_profile *p)
{
    free(p);
}

void mega_profile_forget(struct mega_profile *p)
{
    if (p) *p = (struct mega_profile){ .any_rows = p->any_rows };
}

/* the first dimension of t that its line tells */
static int first_told(const struct mega_profile *p, const mega_tensor *t)
{
    if (!p->any_rows || t->param) return 0;
    if (t->dtype == MEGA_I32) return t->rank; /* ids have no width */
    return t->rank > 1 ? t->rank - 1 : 0;
}

static uint64_t hash_shape(uint64_t h, const struct mega_profile *p, const mega_tensor *t)
{
    h = mega_hash_join(h, t ? (uint64_t)t->rank + 1 : 0);
    for (int i = t ? first_told(p, t) : 0; t && i < t->rank; i++)
        h = mega_hash_join(h, (uint64_t)t->dim[i]);
    return h;
}

static uint64_t key_of(
    const struct mega_profile *p, const struct mega_call *c, enum mega_profile_pass pass)
{
    uint64_t h = mega_hash_join((uint64_t)(uintptr_t)c->op, (uint64_t)(uintptr_t)c->kernel);
    h = mega_hash_join(h, pass);
    for (int i = 0; i < c->op->n_in; i++) h = hash_shape(h, p, c->in[i]);
    return h ? h : 1;
}

/* the line of a key; with the table full, one line for all that came too late */
static struct mega_profile_line *find(struct mega_profile *p, uint64_t key)
{
    for (int i = 0; i < MEGA_PROFILE_LINES - 1; i++) {
        struct mega_profile_line *l = &p->line[(key + (uint64_t)i) % (MEGA_PROFILE_LINES - 1)];
        if (l->key == key || !l->key) return l;
    }
    struct mega_profile_line *late = &p->line[MEGA_PROFILE_LINES - 1];
    late->name = "others";
    late->kernel = "-";
    late->key = 1;
    return late;
}

static bool seen_before(const struct mega_call *c, int i)
{
    for (int k = 0; k < i; k++)
        if (c->in[k] && mega_same_shape(c->in[k], c->in[i])) return true;
    return false;
}

/* "2x4096x128 576x128", or "*x128 576x128" for any rows */
static void print_shapes(
    const struct mega_profile *p, const struct mega_call *c, char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < c->op->n_in; i++) {
        const mega_tensor *t = c->in[i];
        if (!t || t->rank < 2 || seen_before(c, i)) continue;
        int first = first_told(p, t);
        if (n < size)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", first ? "*" : "");
        for (int k = first; k < t->rank && n < size; k++)
            n += (size_t)snprintf(
                out + n, size - n, "%s%lld", k ? "x" : "", (long long)t->dim[k]);
    }
}

static void add(struct mega_profile_line *l, double seconds, double flops, double bytes)
{
    l->calls++;
    l->seconds += seconds;
    l->flops += flops;
    l->bytes += bytes;
}

static struct mega_profile_chain *chain_of(struct mega_profile *p, const struct mega_op *region)
{
    for (int i = 0; i < MEGA_PROFILE_CHAINS; i++)
        if (p->chain[i].region == region || !p->chain[i].region) {
            p->chain[i].region = region;
            return &p->chain[i];
        }
    return NULL;
}

void mega_profile_call(struct mega_profile *p, const struct mega_call *c,
    enum mega_profile_pass pass, const struct mega_op *chain, double start)
{
    mega_profile_spent(p, c, pass, chain, mega_clock_s() - start);
}

void mega_profile_spent(struct mega_profile *p, const struct mega_call *c,
    enum mega_profile_pass pass, const struct mega_op *chain, double seconds)
{
    double flops, bytes;
    uint64_t key = key_of(p, c, pass);
    struct mega_profile_line *l = find(p, key);
    if (!l->key) {
        l->key = key;
        l->name = c->op->name;
        l->kernel = c->kernel->name;
        l->pass = pass;
        print_shapes(p, c, l->shapes, sizeof l->shapes);
    }
    if (pass == MEGA_PROFILE_BACKWARD)
        mega_op_cost_back(c, &flops, &bytes);
    else
        mega_op_cost(c, &flops, &bytes);
    add(l, seconds, flops, bytes);
    struct mega_profile_chain *in = chain ? chain_of(p, chain) : NULL;
    if (in) in->seconds += seconds;
}

void mega_profile_refused(struct mega_profile *p, const struct mega_op *region)
{
    struct mega_profile_chain *in = chain_of(p, region);
    if (in) in->calls++;
}

void mega_profile_stage(struct mega_profile *p, const char *name, double bytes, double start)
{
    if (!p) return;
    double seconds = mega_clock_s() - start;
    struct mega_profile_line *l = find(p, mega_hash_text(name));
    if (!l->key) {
        l->key = mega_hash_text(name);
        l->name = name;
        l->kernel = "-";
        l->pass = MEGA_PROFILE_STAGE;
    }
    add(l, seconds, 0, bytes);
}

void mega_profile_step(struct mega_profile *p, double start)
{
    if (!p) return;
    p->steps++;
    p->seconds += mega_clock_s() - start;
}
