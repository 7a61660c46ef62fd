#include "infer/composer.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

/* with a repetition penalty a text remembers which ids it holds */
static mega_status watch(const struct mega_composer *c, struct mega_draft *d)
{
    if (d->seen || c->options.sampling.repetition_penalty == 1) return MEGA_OK;
    d->seen = calloc(mega_seen_words(c->model->vocabulary), sizeof *d->seen);
    if (!d->seen) return mega_fail(MEGA_NO_MEMORY, "no memory for a text");
    for (int64_t i = 0; i < d->n; i++) mega_seen_add(d->seen, d->id[i]);
    return MEGA_OK;
}

mega_status mega_composer_init(struct mega_composer *c, const struct mega_step_model *model,
    mega_run *run, enum mega_isa isa, const struct mega_compose_options *options)
{
    *c = (struct mega_composer){ .options = *options, .model = model, .run = run, .isa = isa };
    return mega_sampler_init(&c->sampler, &options->sampling, model->vocabulary, isa);
}

mega_status mega_composer_set_options(
    struct mega_composer *c, const struct mega_compose_options *options)
{
    int64_t rows = c->options.rows, piece = c->options.piece;
    c->options = *options;
    c->options.rows = rows;
    c->options.piece = piece;
    for (int64_t k = 0; k < c->n; k++) MEGA_TRY(watch(c, &c->draft[k]));
    mega_sampler_done(&c->sampler);
    return mega_sampler_init(&c->sampler, &options->sampling, c->model->vocabulary, c->isa);
}

void mega_composer_done(struct mega_composer *c)
{
    for (int64_t i = 0; i < c->n; i++) {
        free(c->draft[i].id);
        free(c->draft[i].seen);
    }
    free(c->draft);
    free(c->taken);
    if (c->has_slots) mega_slots_done(&c->slots);
    mega_sampler_done(&c->sampler);
    *c = (struct mega_composer){ 0 };
}

/* ---- texts ---- */

/* more ids behind a text */
static mega_status append(struct mega_draft *d, const int32_t *id, int64_t n)
{
    if (d->n + n > d->space) {
        int64_t space = 2 * d->space > d->n + n ? 2 * d->space : d->n + n;
        int32_t *larger = realloc(d->id, (size_t)space * sizeof *larger);
        if (!larger)
            return mega_fail(
                MEGA_NO_MEMORY, "no memory for a text of %lld tokens", (long long)space);
        d->id = larger;
        d->space = space;
    }
    if (n) memcpy(d->id + d->n, id, (size_t)n * sizeof *id);
    for (int64_t i = 0; d->seen && i < n; i++) mega_seen_add(d->seen, id[i]);
    d->n += n;
    return MEGA_OK;
}

static mega_status check_ids(const struct mega_composer *c, const int32_t *id, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (id[i] < 0 || id[i] >= c->model->vocabulary)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "token %lld of the prompt is %ld: the model's vocabulary is 0 ... %lld",
                (long long)i + 1, (long)id[i], (long long)c->model->vocabulary - 1);
    return MEGA_OK;
}

static mega_status check_length(const struct mega_composer *c, int64_t n)
{
    int64_t room = c->model->longest;
    if (!room || n <= room || c->options.slide) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "the prompt has %lld tokens, but the model's context is %lld: shorten it, or let the "
        "context slide over it",
        (long long)n, (long long)room);
}

/* room for one more draft at the end of the list; NULL: no memory */
static struct mega_draft *new_draft(struct mega_composer *c)
{
    if (c->n == c->space) {
        int64_t space = c->space ? 2 * c->space : 8;
        struct mega_draft *larger = realloc(c->draft, (size_t)space * sizeof *larger);
        if (!larger) return NULL;
        c->draft = larger;
        c->space = space;
    }
    struct mega_draft *d = &c->draft[c->n];
    *d = (struct mega_draft){ .slot = -1 };
    if (watch(c, d)) return NULL;
    c->n++;
    return d;
}

mega_status mega_composer_add(
    struct mega_composer *c, const int32_t *id, int64_t n, uint64_t number)
{
    if (n < 1)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "an empty prompt, and the model has no token that begins a text: give it some");
    MEGA_TRY(check_ids(c, id, n));
    MEGA_TRY(check_length(c, n));
    struct mega_draft *d = new_draft(c);
    if (!d) return mega_fail(MEGA_NO_MEMORY, "no memory for a text");
    d->number = number;
    d->from = n;
    return append(d, id, n);
}

mega_status mega_composer_take_up(struct mega_composer *c, const int32_t *id, int64_t n,
    int64_t fed, uint64_t number, enum mega_ending ending)
{
    MEGA_TRY(check_ids(c, id, n));
    struct mega_draft *d = new_draft(c);
    if (!d) return mega_fail(MEGA_NO_MEMORY, "no memory for a text");
    d->number = number;
    d->from = n;
    d->fed = fed;
    d->ending = ending;
    return append(d, id, n);
}

mega_status mega_composer_extend(
    struct mega_composer *c, int64_t draft, const int32_t *id, int64_t n)
{
    struct mega_draft *d = &c->draft[draft];
    if (d->slot < 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "text %lld has given its place to another one",
            (long long)draft + 1);
    MEGA_TRY(check_ids(c, id, n));
    MEGA_TRY(check_length(c, mega_slots_places(&c->slots, d->slot) + d->n - d->fed + n));
    MEGA_TRY(append(d, id, n));
    d->from = d->n;
    d->made = 0;
    bool over = d->ending == MEGA_ENDING_END || d->ending == MEGA_ENDING_STOP;
    if (n || !over) d->ending = MEGA_ENDING_NONE;
    return MEGA_OK;
}

/* ---- composing ---- */

/* places of unlimited attention to begin with: the model's limit, else what these texts need */
static int64_t places_at_first(const struct mega_composer *c)
{
    int64_t most = 256;
    if (c->model->longest) return c->model->longest;
    for (int64_t i = 0; i < c->n; i++)
        if (c->draft[i].n + c->options.tokens > most) most = c->draft[i].n + c->options.tokens;
    return most;
}

mega_status mega_composer_open_slots(struct mega_composer *c, int64_t rows)
{
    if (c->has_slots) return MEGA_OK;
    c->taken = malloc((size_t)rows * sizeof *c->taken);
    if (!c->taken) return mega_fail(MEGA_NO_MEMORY, "no memory for texts");
    for (int64_t i = 0; i < rows; i++) c->taken[i] = -1;
    MEGA_TRY(mega_slots_init(
        &c->slots, c->model, c->run, rows, c->options.piece, places_at_first(c)));
    c->has_slots = true;
    return MEGA_OK;
}

static bool is_end(const struct mega_composer *c, int32_t id)
{
    for (int i = 0; i < c->options.n_end; i++)
        if (c->options.end[i] == id) return true;
    return false;
}

static void end(struct mega_composer *c, int64_t k, enum mega_ending how)
{
    c->draft[k].ending = how;
    c->listen(c->arg, k, &c->draft[k]);
}

/* the later half of a full context, read in afresh */
static mega_status slide(struct mega_composer *c, struct mega_draft *d, const float **logit)
{
    int64_t keep = (c->slots.room + 1) / 2;
    if (keep > d->n) keep = d->n;
    d->fed = d->n;
    return mega_slots_start(&c->slots, d->slot, d->id + d->n - keep, keep, logit);
}

/* attention without a limit of its own: its memory grows with the text */
static mega_status make_room(struct mega_composer *c, int64_t places)
{
    int64_t room = c->slots.room;
    if (c->model->longest || !room || places <= room) return MEGA_OK;
    return mega_slots_grow(&c->slots, places > 2 * room ? places : 2 * room);
}

/* The slot sees what it has not seen of its text: *logit is what follows. NULL: a single id is
 * left, which a step takes with those of other texts. */
static mega_status catch_up(struct mega_composer *c, struct mega_draft *d, const float **logit)
{
    int64_t behind = d->n - d->fed;
    bool begins = d->fed == 0;
    int64_t places = behind + (begins ? 0 : mega_slots_places(&c->slots, d->slot));
    *logit = NULL;
    MEGA_TRY(make_room(c, places));
    if (c->slots.room && places > c->slots.room) return slide(c, d, logit);
    if (behind == 1 && !begins) return MEGA_OK;
    const int32_t *id = d->id + d->fed;
    d->fed = d->n;
    return begins ? mega_slots_start(&c->slots, d->slot, id, behind, logit)
                  : mega_slots_extend(&c->slots, d->slot, id, behind, logit);
}

/* the text takes its next token from these logits and may end by it */
static mega_status take(struct mega_composer *c, int64_t k, const float *logit)
{
    struct mega_draft *d = &c->draft[k];
    int32_t id;
    MEGA_TRY(mega_sampler_choose(&c->sampler, logit, d->seen, d->number, (uint64_t)d->n, &id));
    MEGA_TRY(append(d, &id, 1));
    d->made++;
    enum mega_ending how = c->listen(c->arg, k, d);
    int64_t room = c->slots.room;
    if (how == MEGA_ENDING_NONE && is_end(c, id)) how = MEGA_ENDING_END;
    if (how == MEGA_ENDING_NONE && c->options.tokens && d->made >= c->options.tokens)
        how = MEGA_ENDING_TOKENS;
    if (how == MEGA_ENDING_NONE && room && c->model->longest && !c->options.slide &&
        mega_slots_places(&c->slots, d->slot) >= room)
        how = MEGA_ENDING_CONTEXT;
    if (how != MEGA_ENDING_NONE) end(c, k, how);
    return MEGA_OK;
}

static bool interrupted(const struct mega_composer *c)
{
    for (int64_t k = 0; k < c->n; k++)
        if (c->draft[k].ending == MEGA_ENDING_INTERRUPTED) return true;
    return false;
}

/* the next waiting text gets this slot, if it is free */
static void fill_slot(struct mega_composer *c, int64_t slot, int64_t *waiting)
{
    int64_t before = c->taken[slot];
    if (before >= 0 && c->draft[before].ending == MEGA_ENDING_NONE) return;
    while (*waiting < c->n && (c->draft[*waiting].slot >= 0 || c->draft[*waiting].ending))
        ++*waiting;
    if (*waiting == c->n) return;
    if (before >= 0) c->draft[before].slot = -1;
    c->draft[*waiting].slot = slot;
    c->taken[slot] = (*waiting)++;
}

/* reads in what the texts of a group have not seen; next[b] is the id that a step is to take */
static mega_status catch_up_group(struct mega_composer *c, int g, int32_t *next)
{
    for (int64_t b = 0, rows = mega_slots_group_rows(&c->slots, g); b < rows; b++) {
        int64_t k = c->taken[(int64_t)g * MEGA_SLOTS_GROUP + b];
        next[b] = -1;
        while (k >= 0 && c->draft[k].ending == MEGA_ENDING_NONE && next[b] < 0) {
            const float *logit;
            MEGA_TRY(catch_up(c, &c->draft[k], &logit));
            if (logit)
                MEGA_TRY(take(c, k, logit));
            else
                next[b] = c->draft[k].id[c->draft[k].fed];
        }
    }
    return MEGA_OK;
}

static mega_status step_group(struct mega_composer *c, int g, bool *busy)
{
    int32_t next[MEGA_SLOTS_GROUP];
    const float *logit[MEGA_SLOTS_GROUP];
    MEGA_TRY(catch_up_group(c, g, next));
    bool any = false;
    for (int64_t b = 0, rows = mega_slots_group_rows(&c->slots, g); b < rows; b++)
        any |= next[b] >= 0;
    if (!any) return MEGA_OK;
    *busy = true;
    MEGA_TRY(mega_slots_step(&c->slots, g, next, logit));
    for (int64_t b = 0, rows = mega_slots_group_rows(&c->slots, g); b < rows; b++) {
        if (next[b] < 0) continue;
        int64_t k = c->taken[(int64_t)g * MEGA_SLOTS_GROUP + b];
        c->draft[k].fed++;
        MEGA_TRY(take(c, k, logit[b]));
    }
    return MEGA_OK;
}

mega_status mega_composer_run(struct mega_composer *c, mega_compose_fn *listen, void *arg)
{
    c->listen = listen;
    c->arg = arg;
    int64_t rows = c->options.rows < c->n ? c->options.rows : c->n, waiting = 0;
    if (rows < 1) return MEGA_OK;
    MEGA_TRY(mega_composer_open_slots(c, rows));
    for (bool busy = true; busy && !interrupted(c);) {
        busy = false;
        for (int64_t slot = 0; slot < c->slots.rows; slot++) fill_slot(c, slot, &waiting);
        for (int g = 0; g < c->slots.groups && !interrupted(c); g++)
            MEGA_TRY(step_group(c, g, &busy));
        busy |= waiting < c->n;
    }
    bool over = interrupted(c);
    for (int64_t k = 0; over && k < c->n; k++)
        if (c->draft[k].ending == MEGA_ENDING_NONE) end(c, k, MEGA_ENDING_INTERRUPTED);
    return MEGA_OK;
}
