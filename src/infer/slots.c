#include "infer/slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "infer/truncation.h"

static mega_status make(
    struct mega_slots *s, const struct mega_step_model *model, mega_run *run, int64_t room)
{
    s->groups = (int)((s->rows + MEGA_SLOTS_GROUP - 1) / MEGA_SLOTS_GROUP);
    s->group = calloc((size_t)s->groups, sizeof *s->group);
    if (!s->group)
        return mega_fail(
            MEGA_NO_MEMORY, "no memory for %lld texts side by side", (long long)s->rows);
    for (int g = 0; g < s->groups; g++)
        MEGA_TRY(mega_model_stepper_init(
            &s->group[g], model, run, mega_slots_group_rows(s, g), s->piece, room));
    s->room = mega_model_stepper_of(&s->group[0]).room;
    if (s->rows == 1) return MEGA_OK;
    MEGA_TRY(mega_model_stepper_init(&s->fill, model, run, 1, s->piece, room));
    s->after = malloc((size_t)model->vocabulary * sizeof *s->after);
    return s->after ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for logits");
}

mega_status mega_slots_init(struct mega_slots *s, const struct mega_step_model *model,
    mega_run *run, int64_t rows, int64_t piece, int64_t room)
{
    *s = (struct mega_slots){ .model = model, .rows = rows, .piece = piece };
    if (rows < 1)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "%lld texts side by side: expected at least 1", (long long)rows);
    mega_status status = make(s, model, run, room);
    if (status) mega_slots_done(s);
    return status;
}

void mega_slots_done(struct mega_slots *s)
{
    for (int g = 0; s->group && g < s->groups; g++) mega_model_stepper_done(&s->group[g]);
    mega_model_stepper_done(&s->fill);
    free(s->group);
    free(s->filled);
    free(s->after);
    *s = (struct mega_slots){ 0 };
}

mega_stream *mega_slots_stream(const struct mega_slots *s, int64_t slot, int64_t *row)
{
    *row = slot % MEGA_SLOTS_GROUP;
    return s->group[slot / MEGA_SLOTS_GROUP].stream;
}

int64_t mega_slots_places(const struct mega_slots *s, int64_t slot)
{
    int64_t row;
    const mega_stream *stream = mega_slots_stream(s, slot, &row);
    /* without what a row begins with beside its tokens */
    int64_t places = mega_stream_places(stream)[row] - s->model->store->lead;
    return places > 0 ? places : 0;
}

/* n ids of one row of a stepper, in pieces; the others stand still. `whole`: they are a text
 * from its start, of which norms may forget */
static mega_status feed_pieces(struct mega_slots *s, struct mega_model_stepper *m, int64_t row,
    const int32_t *id, int64_t n, bool whole, const float **logit)
{
    struct mega_stepper step = mega_model_stepper_of(m);
    int32_t len[MEGA_SLOTS_GROUP] = { 0 };
    const int32_t *ids[MEGA_SLOTS_GROUP] = { NULL };
    const float *after[MEGA_SLOTS_GROUP];
    for (int64_t at = 0, T; at < n; at += T) {
        T = n - at < s->piece ? n - at : s->piece;
        if (whole) T = mega_truncation_piece(m->model, at, n, T);
        len[row] = (int32_t)T;
        ids[row] = id + at;
        MEGA_TRY(step.feed(step.self, ids, T, len, at + T == n ? after : NULL));
        s->fed += T;
        if (whole) MEGA_TRY(mega_truncation_forget(m, row, id, at + T, n));
    }
    *logit = after[row];
    return MEGA_OK;
}

/* ---- new texts ---- */

/* the text is read into the row for it, unless it is there */
static mega_status fill(struct mega_slots *s, const int32_t *id, int64_t n)
{
    size_t size = (size_t)n * sizeof *id;
    if (s->filled && s->n_filled == n && !memcmp(s->filled, id, size)) return MEGA_OK;
    free(s->filled);
    s->filled = NULL;
    int32_t *copy = malloc(size);
    if (!copy) return mega_fail(MEGA_NO_MEMORY, "no memory for a text");
    memcpy(copy, id, size);
    const float *logit;
    mega_stream_reset(s->fill.stream);
    mega_status status = feed_pieces(s, &s->fill, 0, id, n, true, &logit);
    if (status) {
        free(copy);
        return status;
    }
    memcpy(s->after, logit, (size_t)s->model->vocabulary * sizeof *logit);
    s->filled = copy;
    s->n_filled = n;
    return MEGA_OK;
}

mega_status mega_slots_start(
    struct mega_slots *s, int64_t slot, const int32_t *id, int64_t n, const float **logit)
{
    int64_t row;
    mega_stream *stream = mega_slots_stream(s, slot, &row);
    if (s->rows == 1) {
        mega_stream_reset(stream);
        return feed_pieces(s, &s->group[0], 0, id, n, true, logit);
    }
    MEGA_TRY(fill(s, id, n));
    mega_stream_copy_row(stream, row, s->fill.stream, 0);
    *logit = s->after;
    return MEGA_OK;
}

mega_status mega_slots_extend(
    struct mega_slots *s, int64_t slot, const int32_t *id, int64_t n, const float **logit)
{
    return feed_pieces(
        s, &s->group[slot / MEGA_SLOTS_GROUP], slot % MEGA_SLOTS_GROUP, id, n, false, logit);
}

mega_status mega_slots_step(struct mega_slots *s, int g, const int32_t *id, const float **logit)
{
    int32_t len[MEGA_SLOTS_GROUP];
    const int32_t *ids[MEGA_SLOTS_GROUP];
    int64_t rows = mega_slots_group_rows(s, g);
    for (int64_t b = 0; b < rows; b++) {
        len[b] = id[b] >= 0;
        ids[b] = id + b;
        s->fed += len[b];
    }
    struct mega_stepper step = mega_model_stepper_of(&s->group[g]);
    return step.feed(step.self, ids, 1, len, logit);
}

mega_status mega_slots_grow(struct mega_slots *s, int64_t room)
{
    struct mega_slots larger;
    MEGA_TRY(mega_slots_init(&larger, s->model, s->group[0].run, s->rows, s->piece, room));
    for (int64_t slot = 0; slot < s->rows; slot++) {
        int64_t row;
        const mega_stream *from = mega_slots_stream(s, slot, &row);
        mega_stream_copy_row(mega_slots_stream(&larger, slot, &row), row, from, row);
    }
    larger.fed = s->fed;
    mega_slots_done(s);
    *s = larger;
    return MEGA_OK;
}
