#include "infer/score.h"

#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "infer/truncation.h"

struct scoring {
    struct mega_model_stepper *s;
    const int32_t *id;
    double *here; /* [piece] */
    mega_score_fn *take;
    void *arg;
    struct mega_score_total *total;
};

static mega_status check(const struct mega_model_stepper *s, const int32_t *id, int64_t n,
    const struct mega_score_options *o)
{
    int64_t room = mega_model_stepper_of((struct mega_model_stepper *)(uintptr_t)s).room;
    if (o->way != MEGA_SCORE_CARRY && o->window < 1)
        return mega_fail(MEGA_BAD_ARGUMENT, "windows of %lld tokens, expected at least 1",
            (long long)o->window);
    if (o->way == MEGA_SCORE_SLIDE && (o->stride < 1 || o->stride > o->window))
        return mega_fail(MEGA_BAD_ARGUMENT,
            "a stride of %lld over windows of %lld tokens, expected 1 ... %lld",
            (long long)o->stride, (long long)o->window, (long long)o->window);
    int64_t most = o->way == MEGA_SCORE_CARRY || n - 1 < o->window ? n - 1 : o->window;
    if (room && most > room)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%lld tokens at a time, but the model's context is %lld: score in windows of at "
            "most so many",
            (long long)most, (long long)room);
    for (int64_t i = 0; i < n; i++)
        if (id[i] < 0 || id[i] >= s->model->vocabulary)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "token %lld of the text is %ld: the model's vocabulary is 0 ... %lld",
                (long long)i + 1, (long)id[i], (long long)s->model->vocabulary - 1);
    return MEGA_OK;
}

/* ids from ... to-1 in pieces; those that follow them are scored from place `first` on */
static mega_status feed(const struct scoring *s, int64_t from, int64_t to, int64_t first)
{
    const int32_t *text = s->id + from;
    for (int64_t i = from, n; i < to; i += n) {
        n = mega_truncation_piece(s->s->model, i - from, to - from, s->s->piece);
        MEGA_TRY(mega_model_stepper_score(s->s, s->id + i, n, s->id + i + 1, s->here));
        for (int64_t k = 0; k < n; k++) {
            int64_t place = i + k + 1;
            if (place < first) continue;
            s->total->sum += s->here[k];
            s->total->tokens++;
            if (s->take) MEGA_TRY(s->take(s->arg, place, s->id[place], s->here[k]));
        }
        MEGA_TRY(mega_truncation_forget(s->s, 0, text, i + n - from, to - from));
    }
    return MEGA_OK;
}

static mega_status score_all(
    const struct scoring *s, int64_t n, const struct mega_score_options *o)
{
    int64_t inputs = n - 1, window = o->window, stride = o->stride, done = 0;
    if (o->way == MEGA_SCORE_CARRY) window = inputs;
    if (o->way != MEGA_SCORE_SLIDE) stride = window;
    for (int64_t from = 0; done < inputs; from += stride) {
        int64_t to = inputs - from < window ? inputs : from + window;
        mega_stream_reset(s->s->stream);
        MEGA_TRY(feed(s, from, to, done + 1));
        done = to;
    }
    return MEGA_OK;
}

mega_status mega_score_text(struct mega_model_stepper *s, const int32_t *id, int64_t n,
    const struct mega_score_options *o, mega_score_fn *take, void *arg,
    struct mega_score_total *total)
{
    *total = (struct mega_score_total){ 0 };
    MEGA_TRY(check(s, id, n, o));
    struct scoring all = { s, id, malloc((size_t)s->piece * sizeof(double)), take, arg, total };
    if (!all.here) return mega_fail(MEGA_NO_MEMORY, "no memory for scores");
    mega_status status = score_all(&all, n, o);
    free(all.here);
    return status;
}

double mega_score_perplexity(const struct mega_score_total *t)
{
    return t->tokens ? exp(-t->sum / (double)t->tokens) : 1;
}

double mega_score_bits(const struct mega_score_total *t, int64_t n)
{
    return n ? -t->sum / log(2) / (double)n : 0;
}
