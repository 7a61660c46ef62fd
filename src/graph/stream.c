/* Cells and streams: what outlives a run. */
#include <stdlib.h>
#include <string.h>

#include "graph/run_state.h"

/* ---- streams ---- */

#define STREAM_RESERVE ((size_t)1 << 40)

/* shape of a cell's value for all rows */
static mega_tensor stream_shape(const mega_stream *s, const struct mega_cell *c)
{
    int64_t dim[MEGA_RANK] = { s->rows };
    int rank = 1;
    if (c->kind == MEGA_CELL_LOG) dim[rank++] = c->window ? c->window + s->piece : s->places;
    for (int i = 0; i < c->rank && rank < MEGA_RANK; i++) dim[rank++] = c->dim[i];
    return mega_tensor_over(NULL, c->dtype, rank, dim);
}

static bool make_cell(mega_stream *s, const struct mega_cell *c)
{
    struct stream_cell *cell = &s->cell[c->index];
    cell->value = cell->next = stream_shape(s, c);
    cell->value.data = mega_arena_zeroed(&s->arena, mega_size(&cell->value));
    if (!cell->value.data) return false;
    if (c->kind == MEGA_CELL_LOG && !c->whole) return true; /* written in place */
    cell->next.data = mega_arena_zeroed(&s->arena, mega_size(&cell->next));
    return cell->next.data != NULL;
}

/* some attention looks back to the row's start */
static bool is_unlimited(const struct mega_store *store)
{
    for (const struct mega_cell *c = store->first_cell; c; c = c->next)
        if (c->kind == MEGA_CELL_LOG && !c->window) return true;
    return false;
}

mega_status mega_stream_new(mega_stream **out, const struct mega_store *store, int64_t rows,
    int64_t piece, int64_t places)
{
    *out = NULL;
    if (rows < 1 || piece < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a stream of %lld rows in pieces of %lld places: expected at least 1 of each",
            (long long)rows, (long long)piece);
    bool unlimited = is_unlimited(store);
    if (places < 1 && unlimited)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a stream with room for %lld places: this model's attention is not limited to "
            "chunks and needs room for the whole text",
            (long long)places);
    mega_stream *s = calloc(1, sizeof *s);
    if (!s) return mega_fail(MEGA_NO_MEMORY, "no memory for a stream");
    *s = (mega_stream){ .store = store,
        .rows = rows,
        .piece = piece + store->lead,
        .places = places + store->lead,
        .unlimited = unlimited };
    mega_status status = mega_arena_init(&s->arena, STREAM_RESERVE);
    if (!status) {
        s->place = mega_arena_zeroed(&s->arena, (size_t)rows * sizeof *s->place);
        s->cell = mega_arena_zeroed(&s->arena, (size_t)store->n_cells * sizeof *s->cell);
        bool made = s->place && s->cell;
        for (struct mega_cell *c = store->first_cell; made && c; c = c->next)
            if (c->kind != MEGA_CELL_MODEL) made = make_cell(s, c);
        if (!made)
            status = mega_fail(
                MEGA_NO_MEMORY, "no memory for a stream of %lld rows", (long long)rows);
    }
    if (status) {
        mega_stream_free(s);
        return status;
    }
    mega_stream_reset(s);
    *out = s;
    return MEGA_OK;
}

void mega_stream_free(mega_stream *s)
{
    if (!s) return;
    mega_arena_done(&s->arena);
    free(s);
}

void mega_stream_reset(mega_stream *s)
{
    memset(s->place, 0, (size_t)s->rows * sizeof *s->place);
    for (struct mega_cell *c = s->store->first_cell; c; c = c->next) {
        if (c->kind != MEGA_CELL_ROW) continue;
        mega_tensor *t = &s->cell[c->index].value;
        for (int64_t r = 0; r < mega_height(t); r++)
            for (int64_t j = 0; j < mega_width(t); j++) mega_put(t, r, j, c->fresh);
        s->cell[c->index].set = false;
    }
}

size_t mega_stream_size(const mega_stream *s)
{
    return s->arena.used;
}

const int32_t *mega_stream_places(const mega_stream *s)
{
    return s->place;
}

const mega_tensor *mega_stream_value(const mega_stream *s, const struct mega_cell *c)
{
    return &s->cell[c->index].value;
}

int64_t mega_stream_room(const mega_stream *s)
{
    return s->places > s->store->lead ? s->places - s->store->lead : 0;
}

/* ---- cells in a run ---- */

/* unlimited attention finds room for every place of this pass */
static void check_room(mega_run *r, const mega_stream *s)
{
    for (int64_t b = 0; s->unlimited && b < s->rows; b++) {
        int64_t end = mega_rows_place(&r->rows, b) + mega_rows_len(&r->rows, b);
        if (end <= s->places) continue;
        mega_run_fail(r, mega_fail(MEGA_BAD_ARGUMENT,
                             "row %lld of the stream would have %lld places, but there is room "
                             "for %lld",
                             (long long)b, (long long)end, (long long)s->places));
        return;
    }
}

/* what callers keep: it stays as it is where the pass goes on with longer rows */
static const struct mega_rows *rows_of_pass(mega_run *r)
{
    struct mega_rows *copy = mega_run_memory(r, sizeof *copy);
    if (!copy) return &r->rows;
    *copy = r->rows;
    return copy;
}

const struct mega_rows *mega_run_rows(mega_run *r, const struct mega_rows *rows)
{
    mega_stream *s = r->args.stream;
    r->rows = *rows;
    r->has_rows = true;
    if (!s) return rows_of_pass(r);
    if (rows->B != s->rows || rows->T > s->piece - s->store->lead) {
        mega_run_fail(r, mega_fail(MEGA_BAD_ARGUMENT,
                             "a pass of %lld rows of %lld places, but the stream has %lld rows "
                             "and takes pieces of at most %lld",
                             (long long)rows->B, (long long)rows->T, (long long)s->rows,
                             (long long)(s->piece - s->store->lead)));
        return &r->rows;
    }
    r->rows.place = s->place;
    check_room(r, s);
    return rows_of_pass(r);
}

const struct mega_rows *mega_run_rows_longer(mega_run *r, const struct mega_rows *rows)
{
    if (!r->args.stream) return rows;
    r->rows = *rows;
    check_room(r, r->args.stream);
    return rows;
}

mega_tensor *mega_cell_get(mega_run *r, struct mega_cell *c)
{
    if (r->status) return NULL;
    if (c->kind == MEGA_CELL_MODEL) return &c->value;
    return r->args.stream ? &r->args.stream->cell[c->index].value : NULL;
}

/* place p of row b lies at p modulo the log's length */
static void append(const mega_run *r, mega_tensor *log, const mega_tensor *next)
{
    int64_t T = r->rows.T, places = log->dim[1], width = mega_width(log);
    bool same = log->dtype == next->dtype;
    size_t size = (size_t)width * mega_dtype_size(log->dtype);
    for (int64_t b = 0; b < r->rows.B; b++)
        for (int64_t t = 0, n = mega_rows_len(&r->rows, b); t < n; t++) {
            int64_t to = b * places + (mega_rows_place(&r->rows, b) + t) % places;
            if (same)
                memcpy(mega_row(log, to), mega_row(next, b * T + t), size);
            else
                for (int64_t j = 0; j < width; j++)
                    mega_put(log, to, j, mega_get(next, b * T + t, j));
        }
}

void mega_cell_set(mega_run *r, struct mega_cell *c, const mega_tensor *next)
{
    /* a second run of a block leaves everything as the first one left it */
    if (r->status || !next || r->replaying || (r->args.mode & MEGA_RUN_DRY)) return;
    if (c->kind == MEGA_CELL_MODEL) {
        mega_tensor_copy(&c->next_value, next);
        if (!c->set) c->next_set = r->set_cells;
        if (!c->set) r->set_cells = c;
        c->set = true;
    } else if (r->args.stream) {
        struct stream_cell *cell = &r->args.stream->cell[c->index];
        if (c->kind == MEGA_CELL_LOG && !c->whole) {
            append(r, &cell->value, next);
        } else {
            mega_tensor_copy(&cell->next, next);
            cell->set = true;
        }
    }
}

static void settle_stream(mega_run *r, mega_stream *s)
{
    for (struct mega_cell *c = s->store->first_cell; c; c = c->next) {
        struct stream_cell *cell = &s->cell[c->index];
        if (!cell->set) continue;
        mega_tensor value = cell->value;
        cell->value = cell->next;
        cell->next = value;
        cell->set = false;
    }
    for (int64_t b = 0; r->has_rows && b < s->rows; b++)
        s->place[b] = (int32_t)(mega_rows_place(&r->rows, b) + mega_rows_len(&r->rows, b));
}

void run_drop_cells(mega_run *r)
{
    for (struct mega_cell *c = r->set_cells; c; c = c->next_set) c->set = false;
    r->set_cells = NULL;
    mega_stream *s = r->args.stream;
    for (int i = 0; s && i < s->store->n_cells; i++) s->cell[i].set = false;
}

void mega_run_turn(mega_run *r)
{
    if (r->status) return;
    for (struct mega_cell *c = r->set_cells; c; c = c->next_set)
        mega_tensor_copy(&c->value, &c->next_value);
    if (r->args.stream) settle_stream(r, r->args.stream);
    run_drop_cells(r);
    r->has_rows = false;
}
