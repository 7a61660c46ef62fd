#include "infer/truncation.h"

#include <stdlib.h>

#include "base/fail.h"

enum { PAIR = 2 }; /* chunks that are read before anything is forgotten */

static bool has_statistics(const struct mega_step_model *m)
{
    for (const struct mega_cell *c = m->store->first_cell; c; c = c->next)
        if (c->statistics) return true;
    return false;
}

mega_status mega_truncation_set(struct mega_step_model *m, int64_t chunks)
{
    if (chunks && (!m->chunk || !has_statistics(m)))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "norms are to forget what is %lld chunks back, but this model has no norm over "
            "time "
            "with chunks: only Megalodon has",
            (long long)chunks);
    if (chunks && chunks <= PAIR)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "norms are to forget what is %lld chunks back: expected at least %d, or 0: nothing",
            (long long)chunks, PAIR + 1);
    m->truncate_chunks = chunks;
    return MEGA_OK;
}

/* where a pair of chunks ends, or the last chunk that is whole and has something behind it */
static int64_t next_end(const struct mega_step_model *m, int64_t at, int64_t n)
{
    int64_t pair = PAIR * m->chunk, end = (at / pair + 1) * pair,
            last = (n - 1) / m->chunk * m->chunk;
    return at < last && last < end ? last : end;
}

int64_t mega_truncation_piece(
    const struct mega_step_model *m, int64_t at, int64_t n, int64_t most)
{
    int64_t piece = n - at < most ? n - at : most;
    if (!m->truncate_chunks) return piece;
    int64_t end = next_end(m, at, n) - at;
    return piece < end ? piece : end;
}

static mega_status open_recent(struct mega_model_stepper *s)
{
    if (!s->recent) {
        struct mega_model_stepper *r = calloc(1, sizeof *r);
        if (!r) return mega_fail(MEGA_NO_MEMORY, "no memory for a stepper");
        mega_status status = mega_model_stepper_init(r, s->model, s->run, 1, s->piece, 0);
        if (status) {
            free(r);
            return status;
        }
        s->recent = r;
    }
    mega_stream_reset(s->recent->stream);
    return MEGA_OK;
}

mega_status mega_truncation_forget(
    struct mega_model_stepper *s, int64_t row, const int32_t *id, int64_t at, int64_t n)
{
    const struct mega_step_model *m = s->model;
    int64_t chunks = m->truncate_chunks;
    bool due = chunks && at >= chunks * m->chunk && at < n && next_end(m, at - 1, n) == at;
    if (!due) return MEGA_OK;
    MEGA_TRY(open_recent(s));
    struct mega_stepper step = mega_model_stepper_of(s->recent);
    for (int64_t i = at - (chunks - PAIR) * m->chunk; i < at; i += s->piece) {
        const int32_t *ids = id + i;
        int32_t len = (int32_t)(at - i < s->piece ? at - i : s->piece);
        MEGA_TRY(step.feed(step.self, &ids, len, &len, NULL));
    }
    mega_stream_copy_statistics(s->stream, row, s->recent->stream, 0);
    return MEGA_OK;
}
