/* Rows of a stream, moved and copied: loops over its cells. */
#include <stdlib.h>
#include <string.h>

#include "graph/run_state.h"

int64_t mega_stream_rows(const mega_stream *s)
{
    return s->rows;
}

/* bytes of one place of a log, or of a ROW cell's state */
static size_t place_size(const mega_stream *s, const struct mega_cell *c)
{
    const mega_tensor *t = &s->cell[c->index].value;
    int64_t places = c->kind == MEGA_CELL_LOG ? t->dim[1] : 1;
    return mega_size(t) / (size_t)(s->rows * places);
}

/* where place p of a row's log lies */
static char *place_at(const mega_stream *s, const struct mega_cell *c, int64_t row, int64_t p)
{
    const mega_tensor *t = &s->cell[c->index].value;
    int64_t places = c->kind == MEGA_CELL_LOG ? t->dim[1] : 1;
    return (char *)t->data + (size_t)(row * places + p % places) * place_size(s, c);
}

int64_t mega_stream_count(const mega_stream *s, const struct mega_cell *c, int64_t row)
{
    if (c->kind != MEGA_CELL_LOG) return 1;
    int64_t n = s->place[row];
    return c->window && n > c->window ? c->window : n;
}

/* the first place that counts */
static int64_t first_place(const mega_stream *s, const struct mega_cell *c, int64_t row)
{
    return c->kind == MEGA_CELL_LOG ? s->place[row] - mega_stream_count(s, c, row) : 0;
}

void mega_stream_read(
    const mega_stream *s, const struct mega_cell *c, int64_t row, void *values)
{
    size_t size = place_size(s, c);
    int64_t n = mega_stream_count(s, c, row), first = first_place(s, c, row);
    for (int64_t i = 0; i < n; i++)
        memcpy((char *)values + (size_t)i * size, place_at(s, c, row, first + i), size);
}

void mega_stream_write(
    mega_stream *s, const struct mega_cell *c, int64_t row, const void *values)
{
    size_t size = place_size(s, c);
    int64_t n = mega_stream_count(s, c, row), first = first_place(s, c, row);
    for (int64_t i = 0; i < n; i++)
        memcpy(place_at(s, c, row, first + i), (const char *)values + (size_t)i * size, size);
}

void mega_stream_set_place(mega_stream *s, int64_t row, int32_t place)
{
    s->place[row] = place;
}

static void copy_cell(mega_stream *to, int64_t row, const mega_stream *from, int64_t other,
    const struct mega_cell *c)
{
    size_t size = place_size(to, c);
    int64_t n = mega_stream_count(from, c, other), first = first_place(from, c, other);
    for (int64_t i = 0; i < n; i++)
        memcpy(place_at(to, c, row, first + i), place_at(from, c, other, first + i), size);
}

void mega_stream_copy_row(mega_stream *to, int64_t row, const mega_stream *from, int64_t other)
{
    if (to == from && row == other) return;
    to->place[row] = from->place[other];
    for (const struct mega_cell *c = to->store->first_cell; c; c = c->next)
        if (c->kind != MEGA_CELL_MODEL) copy_cell(to, row, from, other, c);
}

void mega_stream_copy_statistics(
    mega_stream *to, int64_t row, const mega_stream *from, int64_t other)
{
    for (const struct mega_cell *c = to->store->first_cell; c; c = c->next)
        if (c->statistics) copy_cell(to, row, from, other, c);
}

/* what the rows of a cell hold, row after row, each with room for its most places */
static void reorder_cell(
    mega_stream *s, const struct mega_cell *c, const int32_t *from, char *copy, size_t row_size)
{
    for (int64_t b = 0; b < s->rows; b++)
        if (from[b] != b) mega_stream_read(s, c, from[b], copy + (size_t)b * row_size);
    /* written under the places that the rows will have */
    for (int64_t b = 0; b < s->rows; b++) {
        if (from[b] == b) continue;
        int32_t place = s->place[b];
        s->place[b] = s->place[from[b]];
        mega_stream_write(s, c, b, copy + (size_t)b * row_size);
        s->place[b] = place;
    }
}

mega_status mega_stream_reorder(mega_stream *s, const int32_t *from)
{
    size_t most = 0;
    int32_t *place = malloc((size_t)s->rows * sizeof *place);
    for (const struct mega_cell *c = s->store->first_cell; c; c = c->next) {
        if (c->kind == MEGA_CELL_MODEL) continue;
        size_t size = mega_size(&s->cell[c->index].value);
        if (size > most) most = size;
    }
    char *copy = malloc(most ? most : 1);
    if (place && copy) {
        for (const struct mega_cell *c = s->store->first_cell; c; c = c->next)
            if (c->kind != MEGA_CELL_MODEL)
                reorder_cell(
                    s, c, from, copy, mega_size(&s->cell[c->index].value) / (size_t)s->rows);
        for (int64_t b = 0; b < s->rows; b++) place[b] = s->place[from[b]];
        memcpy(s->place, place, (size_t)s->rows * sizeof *place);
    }
    bool made = place && copy;
    free(place);
    free(copy);
    return made ? MEGA_OK
                : mega_fail(MEGA_NO_MEMORY, "no memory to reorder %lld rows of a stream",
                      (long long)s->rows);
}
