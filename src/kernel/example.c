#include "kernel/example.h"

#include <stdio.h>
#include <string.h>

#include "kernel/example_parts.h"

#define EXAMPLE_ROOM ((size_t)64 << 20) /* more than any example takes */

static const struct {
    const char *op;
    void (*make)(struct mega_maker *m);
} generators[] = {
#define X(name) { #name, mega_example_##name },
#include "op/ops.def"
#undef X
};

static void describe(struct mega_example *e, int i)
{
    char shape[96];
    size_t n = (size_t)snprintf(e->text, sizeof e->text, "%s example %d:", e->call.op->name, i);
    for (int k = 0; k < e->call.op->n_in && n < sizeof e->text; k++)
        if (e->call.in[k])
            n += (size_t)snprintf(e->text + n, sizeof e->text - n, " %s",
                mega_tensor_print(e->call.in[k], shape));
}

mega_status mega_example_make(struct mega_example *out, struct mega_arena *arena,
    const struct mega_op *op, int i, mega_dtype dtype, bool small)
{
    *out = (struct mega_example){ .call = { .op = op, .dtype = dtype } };
    size_t mark = mega_arena_mark(arena);
    out->memory = mega_arena_get(arena, EXAMPLE_ROOM);
    if (!out->memory) return mega_fail(MEGA_NO_MEMORY, "no memory for an example call");
    mega_arena_release(arena, mark);

    uint64_t name = mega_hash_text(op->name);
    struct mega_maker m = {
        .e = out, .arena = arena, .turn = i, .dtype = dtype, .small = small
    };
    mega_rng_start(&m.rng, name, (uint64_t)i * 2 + small);
    out->call.now = (struct mega_now){ mega_rng_u32(&m.rng), mega_make_below(&m, 1000) };
    out->call.site = mega_hash_join(name, mega_rng_u32(&m.rng));
    out->judge = &op->reference;
    out->gives = 1;
    out->tolerance = 2e-6;
    for (size_t k = 0; k < sizeof generators / sizeof *generators; k++)
        if (!strcmp(generators[k].op, op->name)) generators[k].make(&m);
    out->bytes = mega_arena_mark(arena) - mark;
    describe(out, i);
    return MEGA_OK;
}
