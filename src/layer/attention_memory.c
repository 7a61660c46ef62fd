#include "layer/attention_memory.h"

#include "graph/ops.h"

mega_tensor *mega_attention_memory(mega_run *r, const struct mega_attention *m)
{
    return m->memory ? mega_cell_get(r, m->memory) : NULL;
}

mega_tensor *mega_attention_join(
    mega_run *r, mega_tensor *a, mega_tensor *b, int64_t last, const struct mega_rows *rows)
{
    struct mega_attr_join join = { last };
    return mega_run_call(r,
        &(struct mega_call){ .op = &mega_op_join, .in = { a, b }, .attr = &join, .rows = rows },
        NULL);
}

void mega_attention_remember(mega_run *r, const struct mega_attention *m, mega_tensor *memory,
    mega_tensor *x, const struct mega_rows *rows)
{
    if (!memory || !m->memory) return;
    mega_tensor *next = mega_attention_join(r, memory, x, m->options.memory, rows);
    if (next) mega_run_need(r, next);
    mega_cell_set(r, m->memory, next);
}

static int32_t *numbers(mega_run *r, int64_t n)
{
    return mega_run_memory(r, (size_t)(n > 0 ? n : 1) * sizeof(int32_t));
}

const struct mega_rows *mega_attention_memory_rows(
    mega_run *r, int64_t memory, const struct mega_rows *rows)
{
    struct mega_rows *keys = mega_run_memory(r, sizeof *keys);
    int64_t B = rows->B, T = rows->T + memory;
    int32_t *place = numbers(r, B), *len = rows->len ? numbers(r, B) : NULL,
            *real = rows->real ? numbers(r, B * T) : NULL,
            *doc = rows->doc ? numbers(r, B * T) : NULL;
    if (!keys || !place || (rows->len && !len) || (rows->real && !real) || (rows->doc && !doc))
        return rows;
    for (int64_t b = 0; b < B; b++) {
        /* a row that began less than M places ago begins inside the memory */
        place[b] = (int32_t)(mega_rows_place(rows, b) - memory);
        if (len) len[b] = (int32_t)(rows->len[b] + memory);
        for (int64_t t = 0; t < T; t++) {
            int64_t at = b * rows->T + (t < memory ? 0 : t - memory);
            if (real) real[b * T + t] = t < memory ? 1 : rows->real[at];
            /* what the call's first document has of the memory; all before it is another one */
            int64_t first = rows->doc && rows->T ? rows->doc[at] + memory : 0;
            if (doc) doc[b * T + t] = (int32_t)(t < memory && t < first ? -memory - 1 : first);
        }
    }
    *keys = (struct mega_rows){ .B = B, .T = T, .len = len, .real = real, .doc = doc };
    keys->number = rows->number;
    keys->place = place;
    return keys;
}
