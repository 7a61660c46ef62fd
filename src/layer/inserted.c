#include "layer/inserted.h"

#include "graph/ops.h"

/* does a document begin at (b, t), which is in use? */
static bool begins(const struct mega_rows *rows, int64_t b, int64_t t, int64_t first)
{
    if (rows->doc) return mega_rows_real(rows, b, t) && mega_rows_doc(rows, b, t) == t;
    return t == first && !mega_rows_place(rows, b);
}

/* the first real place of row b; T if there is none */
static int64_t first_real(const struct mega_rows *rows, int64_t b)
{
    int64_t t = 0;
    while (t < rows->T && !mega_rows_real(rows, b, t)) t++;
    return t;
}

struct walk {
    const struct mega_rows *rows;
    int64_t n, every;
};

/* are there inserted places before (b, t)? */
static bool stands(const struct walk *w, int64_t b, int64_t t, int64_t first)
{
    if (w->every == MEGA_INSERTED_EACH_CALL && t == first) return true;
    if (w->every <= 0) return begins(w->rows, b, t, first);
    int64_t start = w->rows->doc ? mega_rows_doc(w->rows, b, t) : first;
    return t >= start && (t - start) % w->every == 0;
}

static int64_t length_of(const struct walk *w, int64_t b)
{
    int64_t first = first_real(w->rows, b), n = mega_rows_len(w->rows, b), all = n;
    for (int64_t t = 0; t < n; t++)
        if (stands(w, b, t, first)) all += w->n;
    return all;
}

/* room for the longer rows, described as the shorter ones are */
static struct mega_rows *make_rows(mega_run *r, const struct walk *w)
{
    const struct mega_rows *rows = w->rows;
    struct mega_rows *longer = mega_run_memory(r, sizeof *longer);
    int64_t B = rows->B, T = 0;
    bool even = !rows->len;
    for (int64_t b = 0; b < B; b++) {
        int64_t n = length_of(w, b);
        even &= !b || n == T;
        if (n > T) T = n;
    }
    if (!longer) return NULL;
    *longer = *rows;
    longer->T = T;
    longer->len = even ? NULL : mega_run_memory(r, (size_t)(B + 1) * sizeof(int32_t));
    if (rows->real) longer->real = mega_run_memory(r, (size_t)(B * T + 1) * sizeof(int32_t));
    if (rows->doc) longer->doc = mega_run_memory(r, (size_t)(B * T + 1) * sizeof(int32_t));
    return longer;
}

/* the arrays of this run, as those who fill them */
static int32_t *mine(const int32_t *p)
{
    return (int32_t *)(uintptr_t)p;
}

struct fill {
    const struct walk *w;
    struct mega_rows *longer;
    int32_t *index, *back; /* NULL in a dry run */
};

/* place `at` of row b is what stands at `from`, or inserted row i (from < 0) */
static void put(const struct fill *f, int64_t b, int64_t at, int64_t from, int64_t i)
{
    int64_t k = b * f->longer->T + at;
    const struct mega_rows *rows = f->w->rows;
    if (f->index) f->index[k] = (int32_t)(from < 0 ? -1 - i : from);
    if (f->longer->real) mine(f->longer->real)[k] = from < 0 || rows->real[b * rows->T + from];
    if (from >= 0 && f->back) f->back[b * rows->T + from] = (int32_t)at;
}

static void fill_row(const struct fill *f, int64_t b)
{
    const struct mega_rows *rows = f->w->rows;
    int64_t first = first_real(rows, b), at = 0, start = 0, T = f->longer->T;
    for (int64_t t = 0; t < mega_rows_len(rows, b); t++) {
        int64_t from = at;
        if (rows->doc && begins(rows, b, t, first)) start = at;
        if (stands(f->w, b, t, first))
            for (int64_t i = 0; i < f->w->n; i++) put(f, b, at++, -1, i);
        put(f, b, at++, t, 0);
        int64_t doc = rows->doc ? mega_rows_doc(rows, b, t) : 0;
        for (; rows->doc && from < at; from++)
            mine(f->longer->doc)[b * T + from] = (int32_t)(doc < 0 ? doc : start);
    }
    if (f->longer->len) mine(f->longer->len)[b] = (int32_t)at;
    for (; at < T; at++) {
        if (f->index) f->index[b * T + at] = MEGA_ARRANGE_NOTHING;
        if (f->longer->real) mine(f->longer->real)[b * T + at] = 0;
        if (rows->doc) mine(f->longer->doc)[b * T + at] = (int32_t)at;
    }
}

static mega_tensor *make_index(mega_run *r, int64_t B, int64_t T, int32_t value)
{
    mega_tensor *t = mega_run_tensor(r, MEGA_I32, 2, (int64_t[]){ B, T });
    for (int64_t i = 0; t && t->data && i < B * T; i++) ((int32_t *)t->data)[i] = value;
    return t;
}

void mega_inserted_make(mega_run *r, struct mega_inserted *m, const struct mega_rows *rows,
    int64_t n, int64_t every)
{
    struct walk w = { rows, n, every };
    *m = (struct mega_inserted){ .rows = rows };
    struct mega_rows *longer = make_rows(r, &w);
    if (mega_run_status(r)) return;
    m->index = make_index(r, rows->B, longer->T, 0);
    m->back = make_index(r, rows->B, rows->T, MEGA_ARRANGE_NOTHING);
    m->first = make_index(r, rows->B, n, 0);
    if (mega_run_status(r)) return;
    struct fill f = { &w, longer, m->index->data, m->back->data };
    for (int64_t b = 0; b < rows->B; b++) {
        int32_t *first = m->first->data;
        fill_row(&f, b);
        for (int64_t i = 0; first && i < n; i++)
            first[b * n + i] = (int32_t)(first_real(rows, b) % rows->T + i);
    }
    bool stays = rows->place && every != MEGA_INSERTED_EACH_CALL;
    m->rows = stays ? mega_run_rows_longer(r, longer) : longer;
}

static mega_tensor *arrange(mega_run *r, mega_tensor *x, mega_tensor *index, mega_tensor *extra)
{
    struct mega_call c = { .op = &mega_op_arrange };
    c.in[MEGA_ARRANGE_X] = x;
    c.in[MEGA_ARRANGE_INDEX] = index;
    c.in[MEGA_ARRANGE_EXTRA] = extra;
    return mega_run_call(r, &c, NULL);
}

mega_tensor *mega_inserted_add(
    mega_run *r, const struct mega_inserted *m, mega_tensor *x, mega_tensor *extra)
{
    return arrange(r, x, m->index, extra);
}

mega_tensor *mega_inserted_drop(mega_run *r, const struct mega_inserted *m, mega_tensor *x)
{
    return arrange(r, x, m->back, NULL);
}

mega_tensor *mega_inserted_take(mega_run *r, const struct mega_inserted *m, mega_tensor *x)
{
    return arrange(r, x, m->first, NULL);
}

const struct mega_rows *mega_inserted_tokens(
    mega_run *r, const struct mega_rows *rows, int64_t lead)
{
    if (!lead || !rows->place) return rows;
    struct mega_rows *tokens = mega_run_memory(r, sizeof *tokens);
    int32_t *place = mega_run_memory(r, (size_t)(rows->B + 1) * sizeof *place);
    if (!tokens || !place) return rows;
    for (int64_t b = 0; b < rows->B; b++)
        place[b] = (int32_t)(rows->place[b] > lead ? rows->place[b] - lead : 0);
    *tokens = *rows;
    tokens->place = place;
    return tokens;
}
