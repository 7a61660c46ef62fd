#include "infer/beam.h"

#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "kernel/cpu/rows.h"

/* a hypothesis continued by a token */
struct candidate {
    double sum;
    int64_t beam; /* of the hypothesis, in its sentence */
    int32_t token;
};

/* All hypotheses of all sentences, [sentences beam] each with room for `length` tokens. */
struct hypotheses {
    int32_t *id; /* behind the start */
    double *sum; /* after each of them */
};

struct search {
    const struct mega_stepper *stepper;
    const struct mega_beam_options *o;
    struct mega_beam_results *r;
    int64_t sentences, beam, rows, V, length;
    struct hypotheses now, next;
    double *total; /* [rows]: sums so far; minus infinity: no hypothesis */
    int32_t *last, *from, *len;
    const int32_t **ids;
    const float **logit;
    bool *banned;                /* [V] by n-grams */
    struct candidate *candidate; /* [most] of one sentence, the best first */
    int64_t most, n;
    int64_t step; /* tokens that the hypotheses have */
};

double mega_beam_score(double sum, int64_t n, double length_penalty)
{
    return sum / pow((double)n, length_penalty);
}

/* ---- candidates ---- */

/* whether a ranks before b: larger sum, then the earlier hypothesis and token */
static bool before(const struct candidate *a, const struct candidate *b)
{
    if (a->sum != b->sum) return a->sum > b->sum;
    return a->beam != b->beam ? a->beam < b->beam : a->token < b->token;
}

/* into the ranking, if it is among the best */
static void rank(struct search *s, struct candidate c)
{
    if (s->n == s->most) {
        if (!before(&c, &s->candidate[s->n - 1])) return;
        s->n--;
    }
    int64_t i = s->n++;
    for (; i > 0 && before(&c, &s->candidate[i - 1]); i--)
        s->candidate[i] = s->candidate[i - 1];
    s->candidate[i] = c;
}

/* Logarithm of the sum of exponentials of logits / temperature, NaN counting as none; in double
 * from the first token to the last. */
static double log_sum(const struct search *s, const float *logit)
{
    enum { BLOCK = 256 };
    const struct mega_cpu_rows *rows = mega_cpu_rows(mega_isa_here());
    float part[BLOCK], most = -INFINITY, by = (float)(1 / s->o->temperature);
    double sum = 0;
    for (int64_t i = 0; i < s->V; i++)
        if (logit[i] > most) most = logit[i];
    for (int64_t i = 0; i < s->V; i += BLOCK) {
        int64_t n = s->V - i < BLOCK ? s->V - i : BLOCK;
        for (int64_t j = 0; j < n; j++)
            part[j] = isnan(logit[i + j]) ? -INFINITY : (logit[i + j] - most) * by;
        rows->exp(part, part, n);
        for (int64_t j = 0; j < n; j++) sum += (double)part[j];
    }
    return (double)most / s->o->temperature + log(sum);
}

static int32_t token_at(const struct search *s, int64_t row, int64_t i)
{
    return i ? s->now.id[row * s->length + i - 1] : s->o->start;
}

/* the tokens that would make an n-gram of the hypothesis come again */
static void ban(struct search *s, int64_t row)
{
    int64_t g = s->o->ngram, n = s->step + 1; /* with the start */
    for (int64_t t = 0; g > 0 && t < s->V; t++) s->banned[t] = false;
    for (int64_t i = 0; g > 0 && i + g <= n; i++) {
        bool same = true;
        for (int64_t j = 0; j + 1 < g && same; j++)
            same = token_at(s, row, i + j) == token_at(s, row, n - g + 1 + j);
        if (same) s->banned[token_at(s, row, i + g - 1)] = true;
    }
}

/* ranks what can follow one hypothesis */
static void continue_by_all(struct search *s, int64_t sentence, int64_t beam)
{
    const struct mega_beam_options *o = s->o;
    int64_t row = sentence * s->beam + beam;
    if (isinf(s->total[row])) return;
    const float *logit = s->logit[row];
    double less = log_sum(s, logit);
    bool last = s->step == o->longest;
    ban(s, row);
    for (int32_t t = 0; t < s->V; t++) {
        if (s->banned[t] || t == o->pad || isnan(logit[t]) || (last && t != o->end)) continue;
        if (t == o->end && !last && s->step < o->least) continue;
        double by = (double)logit[t] / o->temperature - less;
        /* most are far from the ranking */
        if (s->n == s->most && s->total[row] + by < s->candidate[s->n - 1].sum) continue;
        if (t == o->unknown) by -= o->unknown_penalty;
        /* one that cannot be is no candidate */
        if (isfinite(by)) rank(s, (struct candidate){ s->total[row] + by, beam, t });
    }
}

static void find_candidates(struct search *s, int64_t sentence)
{
    int64_t hypotheses = s->step ? s->beam : 1, all = hypotheses * s->V - 1;
    s->n = 0;
    s->most = 2 * s->beam < all ? 2 * s->beam : all;
    for (int64_t b = 0; b < hypotheses; b++) continue_by_all(s, sentence, b);
}

/* ---- a step ---- */

/* a hypothesis that ended: the tokens of its row and the end */
static bool finish(struct search *s, int64_t sentence, const struct candidate *c)
{
    int64_t n = s->step + 1, row = sentence * s->beam + c->beam;
    int32_t *id = mega_arena_get(&s->r->arena, (size_t)n * sizeof *id);
    double *by = mega_arena_get(&s->r->arena, (size_t)n * sizeof *by), sum = 0;
    if (!id || !by) return false;
    for (int64_t i = 0; i < n; i++) {
        bool end = i == s->step;
        double here = end ? c->sum : s->now.sum[row * s->length + i];
        id[i] = end ? s->o->end : s->now.id[row * s->length + i];
        by[i] = here - sum;
        sum = here;
    }
    struct mega_hypothesis h = { id, by, n, c->sum,
        mega_beam_score(c->sum, n, s->o->length_penalty) };
    /* in order of their scores; of equals the first found stays first */
    struct mega_hypothesis *found = s->r->found + sentence * s->beam;
    int64_t i = s->r->n[sentence]++;
    for (; i > 0 && h.score > found[i - 1].score; i--) found[i] = found[i - 1];
    found[i] = h;
    return true;
}

static void go_on(struct search *s, int64_t sentence, int64_t to, const struct candidate *c)
{
    int64_t row = sentence * s->beam + to, was = sentence * s->beam + c->beam;
    size_t n = (size_t)s->step;
    memcpy(s->next.id + row * s->length, s->now.id + was * s->length, n * sizeof *s->next.id);
    memcpy(
        s->next.sum + row * s->length, s->now.sum + was * s->length, n * sizeof *s->next.sum);
    s->next.id[row * s->length + s->step] = c->token;
    s->next.sum[row * s->length + s->step] = c->sum;
    s->last[row] = c->token;
    s->from[row] = (int32_t)was;
    s->len[row] = 1;
}

/* returns false without memory */
static bool step_sentence(struct search *s, int64_t sentence)
{
    int64_t first = sentence * s->beam, kept = 0;
    double *total = s->total + first;
    bool fine = true;
    find_candidates(s, sentence);
    for (int64_t b = 0; b < s->beam; b++) {
        s->from[first + b] = (int32_t)(first + b);
        s->len[first + b] = 0;
        total[b] = -INFINITY;
    }
    for (int64_t i = 0; i < s->n && fine; i++) {
        const struct candidate *c = &s->candidate[i];
        if (c->token == s->o->end) {
            if (i < s->beam && s->r->n[sentence] < s->beam) fine = finish(s, sentence, c);
        } else if (kept < s->beam) {
            total[kept] = c->sum;
            go_on(s, sentence, kept++, c);
        }
    }
    bool over = s->r->n[sentence] == s->beam || s->step == s->o->longest;
    for (int64_t b = 0; over && b < s->beam; b++) {
        total[b] = -INFINITY;
        s->len[first + b] = 0;
        s->from[first + b] = (int32_t)(first + b);
    }
    return fine;
}

/* *going: some hypothesis is left */
static mega_status step(struct search *s, bool *going)
{
    for (int64_t b = 0; b < s->rows; b++) s->ids[b] = &s->last[b];
    MEGA_TRY(s->stepper->feed(s->stepper->self, s->ids, 1, s->len, s->logit));
    for (int64_t i = 0; i < s->sentences; i++)
        if (!step_sentence(s, i))
            return mega_fail(MEGA_NO_MEMORY, "no memory for the hypotheses of a search");
    bool same = true;
    *going = false;
    for (int64_t b = 0; b < s->rows; b++) {
        same &= s->from[b] == b;
        *going |= s->len[b] > 0;
    }
    struct hypotheses now = s->now;
    s->now = s->next;
    s->next = now;
    s->step++;
    return same || !*going ? MEGA_OK : s->stepper->reorder(s->stepper->self, s->from);
}

/* ---- the search ---- */

static mega_status check(
    const struct mega_stepper *s, int64_t sentences, const struct mega_beam_options *o)
{
    if (o->beam < 1)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "a beam of %lld, expected at least 1", (long long)o->beam);
    if (o->least > o->longest || o->longest < 0)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "texts of at least %lld and at most %lld tokens: expected a range",
            (long long)o->least, (long long)o->longest);
    if (!(o->temperature > 0))
        return mega_fail(
            MEGA_BAD_ARGUMENT, "temperature is %g, expected more than 0", o->temperature);
    if (s->rows % sentences || o->end < 0 || o->end >= s->vocabulary || o->start < 0 ||
        o->start >= s->vocabulary)
        return mega_fail(MEGA_INTERNAL, "a search over %lld rows for %lld sentences",
            (long long)s->rows, (long long)sentences);
    return MEGA_OK;
}

static bool make(struct search *s, struct mega_arena *a)
{
    size_t rows = (size_t)s->rows, places = rows * (size_t)s->length;
    struct hypotheses *both[] = { &s->now, &s->next };
    for (int i = 0; i < 2; i++) {
        both[i]->id = mega_arena_zeroed(a, places * sizeof *both[i]->id);
        both[i]->sum = mega_arena_zeroed(a, places * sizeof *both[i]->sum);
    }
    s->total = mega_arena_zeroed(a, rows * sizeof *s->total);
    s->last = mega_arena_zeroed(a, rows * sizeof *s->last);
    s->from = mega_arena_zeroed(a, rows * sizeof *s->from);
    s->len = mega_arena_zeroed(a, rows * sizeof *s->len);
    s->ids = mega_arena_zeroed(a, rows * sizeof *s->ids);
    s->logit = mega_arena_zeroed(a, rows * sizeof *s->logit);
    s->banned = mega_arena_zeroed(a, (size_t)s->V * sizeof *s->banned);
    s->candidate = mega_arena_zeroed(a, 2 * (size_t)s->beam * sizeof *s->candidate);
    s->r->found = mega_arena_zeroed(&s->r->arena, rows * sizeof *s->r->found);
    s->r->n = mega_arena_zeroed(&s->r->arena, (size_t)s->sentences * sizeof *s->r->n);
    return s->now.sum && s->next.sum && s->now.id && s->next.id && s->total && s->last &&
           s->from && s->len && s->ids && s->logit && s->banned && s->candidate &&
           s->r->found && s->r->n;
}

static mega_status search(struct search *s)
{
    for (int64_t b = 0; b < s->rows; b++) {
        s->last[b] = s->o->start;
        s->len[b] = 1;
    }
    mega_status status = MEGA_OK;
    for (bool going = true; going && !status;) status = step(s, &going);
    return status;
}

mega_status mega_beam_search(struct mega_beam_results *r, const struct mega_stepper *stepper,
    int64_t sentences, const struct mega_beam_options *o)
{
    *r = (struct mega_beam_results){ 0 };
    MEGA_TRY(check(stepper, sentences, o));
    struct mega_beam_options cut = *o;
    int64_t V = stepper->vocabulary, beam = stepper->rows / sentences;
    if (cut.beam > V - 1) cut.beam = V - 1;
    if (cut.beam != beam)
        return mega_fail(MEGA_INTERNAL, "%lld rows a sentence for a beam of %lld",
            (long long)beam, (long long)cut.beam);
    struct search s = { .stepper = stepper,
        .o = &cut,
        .r = r,
        .sentences = sentences,
        .beam = beam,
        .rows = stepper->rows,
        .V = V,
        .length = cut.longest + 1 };
    r->beam = beam;
    struct mega_arena arena;
    MEGA_TRY(mega_arena_init(&r->arena, (size_t)1 << 40));
    MEGA_TRY(mega_arena_init(&arena, (size_t)1 << 40));
    mega_status status = make(&s, &arena)
                             ? search(&s)
                             : mega_fail(MEGA_NO_MEMORY, "no memory to search with %lld rows",
                                   (long long)s.rows);
    mega_arena_done(&arena);
    return status;
}

void mega_beam_results_done(struct mega_beam_results *r)
{
    if (r->arena.base) mega_arena_done(&r->arena);
    *r = (struct mega_beam_results){ 0 };
}
