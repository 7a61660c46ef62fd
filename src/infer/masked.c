#include "infer/masked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/ops.h"

enum { AT_ONCE = 1 << 21 }; /* logits that are made together */

/* ---- logits ---- */

/* states of the places that are wanted, [n, D] */
struct states {
    float *value;
    int64_t *place;
    int64_t n, D;
};

static void read_states(mega_run *r, const mega_tensor *x, const struct states *s)
{
    mega_run_need(r, x);
    if (mega_run_status(r)) return;
    for (int64_t i = 0; i < s->n * s->D; i++)
        s->value[i] = (float)mega_get(x, s->place[i / s->D], i % s->D);
}

static mega_status encode(mega_run *r, const mega_model *m, const mega_tensor *ids,
    const struct mega_rows *rows, const struct states *s)
{
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ 0 }));
    mega_tensor *x =
        mega_masked_model_states(r, &m->masked, mega_run_input(r, ids), mega_run_rows(r, rows));
    if (x) read_states(r, x, s);
    return mega_run_end(r);
}

static mega_status give_logits(mega_run *r, const mega_model *m, const struct states *s,
    int64_t from, int64_t n, mega_logits_fn *take, void *arg)
{
    mega_tensor some =
        mega_tensor_over(s->value + from * s->D, MEGA_F32, 2, (int64_t[]){ n, s->D });
    MEGA_TRY(mega_run_begin(r, &(struct mega_run_args){ 0 }));
    mega_tensor *y = mega_masked_model_logits(r, &m->masked, mega_run_input(r, &some));
    if (y) mega_run_need(r, y);
    for (int64_t i = 0; i < n && !mega_run_status(r); i++)
        take(arg, s->place[from + i], (const float *)y->data + i * y->stride, mega_width(y));
    return mega_run_end(r);
}

/* the head computes in float32, whatever the encoder does */
static mega_status run_head(
    mega_run *r, const mega_model *m, const struct states *s, mega_logits_fn *take, void *arg)
{
    int64_t V = m->masked.encoder.options.vocabulary, some = V < AT_ONCE ? AT_ONCE / V : 1;
    mega_dtype dtype = mega_run_set_dtype(r, MEGA_F32);
    mega_status status = MEGA_OK;
    for (int64_t from = 0; from < s->n && !status; from += some) {
        int64_t n = s->n - from < some ? s->n - from : some;
        status = give_logits(r, m, s, from, n, take, arg);
    }
    mega_run_set_dtype(r, dtype);
    return status;
}

mega_status mega_masked_logits(mega_run *r, const mega_model *m, const mega_tensor *ids,
    const struct mega_rows *rows, const int32_t *wanted, mega_logits_fn *take, void *arg)
{
    struct states s = { .D = m->masked.encoder.options.width };
    int64_t places = mega_count(ids);
    for (int64_t i = 0; i < places; i++) s.n += wanted[i] >= 0;
    if (!s.n) return MEGA_OK;
    s.value = malloc((size_t)(s.n * s.D) * sizeof *s.value);
    s.place = malloc((size_t)s.n * sizeof *s.place);
    mega_status status =
        s.value && s.place
            ? MEGA_OK
            : mega_fail(MEGA_NO_MEMORY, "no memory for %lld masked tokens", (long long)s.n);
    for (int64_t i = 0, k = 0; !status && i < places; i++)
        if (wanted[i] >= 0) s.place[k++] = i;
    if (!status) status = encode(r, m, ids, rows, &s);
    if (!status) status = run_head(r, m, &s, take, arg);
    free(s.value);
    free(s.place);
    return status;
}

/* ---- texts ---- */

const char *mega_mask_spelling(const mega_tokenizer *t)
{
    int32_t id = mega_tokenizer_mask(t);
    return id < 0 ? "[MASK]" : t->vocab.piece[id].text.data;
}

void mega_filling_done(struct mega_filling *f)
{
    mega_ids_done(&f->ids);
    free(f->place);
    free(f->best);
    *f = (struct mega_filling){ 0 };
}

static mega_status no_memory(void)
{
    return mega_fail(MEGA_NO_MEMORY, "no memory for a text with masks");
}

static mega_status add_mask(struct mega_filling *f, int32_t mask)
{
    int64_t *place = realloc(f->place, (size_t)(f->masks + 1) * sizeof *place);
    if (!place) return no_memory();
    f->place = place;
    place[f->masks++] = (int64_t)f->ids.n;
    return mega_ids_add(&f->ids, &mask, 1) ? MEGA_OK : no_memory();
}

/* does the mask take the blanks before it? */
static bool takes_blanks(const mega_tokenizer *t, int32_t mask)
{
    for (int32_t i = 0; i < t->specials.n; i++)
        if (t->specials.added[i].id == mask) return t->specials.added[i].lstrip;
    return false;
}

/* what stands between the masks is encoded piece by piece */
static mega_status encode_text(struct mega_filling *f, const mega_tokenizer *t, int32_t mask,
    const char *text, size_t n, bool specials)
{
    const char *spelling = mega_mask_spelling(t), *end = text + n;
    size_t size = strlen(spelling);
    for (const char *p = text, *found; p <= end; p = found + size) {
        found = memmem(p, (size_t)(end - p), spelling, size);
        const char *stop = found ? found : end;
        while (found && takes_blanks(t, mask) && stop > p && stop[-1] == ' ') stop--;
        struct mega_encode_options how = { .specials = specials, .inside = p > text };
        if (stop > p) MEGA_TRY(mega_tokenizer_encode(t, p, (size_t)(stop - p), &how, &f->ids));
        if (!found) break;
        MEGA_TRY(add_mask(f, mask));
    }
    if (f->masks) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "the text has no %s: expected one where a token is to be found", spelling);
}

static mega_status check_length(const struct mega_filling *f, const mega_model *m)
{
    int64_t longest = mega_model_config_longest(&m->config);
    if (!longest || (int64_t)f->ids.n <= longest) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT, "the text has %zu tokens, the model takes %lld",
        f->ids.n, (long long)longest);
}

struct search {
    struct mega_filling *f;
    const mega_tokenizer *t;
};

static int64_t mask_at(const struct mega_filling *f, int64_t place)
{
    int64_t i = 0;
    while (f->place[i] != place) i++;
    return i;
}

/* puts a candidate where it belongs among the best so far; of equal ones the first stays */
static void offer(struct mega_candidate *best, int64_t top, struct mega_candidate c)
{
    int64_t i = top;
    for (; i > 0 && (best[i - 1].id < 0 || best[i - 1].probability < c.probability); i--)
        if (i < top) best[i] = best[i - 1];
    if (i < top) best[i] = c;
}

static void find_best(void *arg, int64_t place, const float *logit, int64_t V)
{
    const struct search *s = arg;
    int64_t top = s->f->top;
    struct mega_candidate *best = s->f->best + mask_at(s->f, place) * top;
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < V; j++) most = fmax(most, (double)logit[j]);
    for (int64_t j = 0; j < V; j++) sum += exp((double)logit[j] - most);
    for (int64_t i = 0; i < top; i++) best[i].id = -1;
    for (int64_t j = 0; j < V; j++)
        if (mega_vocab_has(&s->t->vocab, (int32_t)j))
            offer(best, top,
                (struct mega_candidate){ (int32_t)j, exp((double)logit[j] - most) / sum });
}

static int64_t pieces(const mega_tokenizer *t)
{
    int64_t n = 0;
    for (int32_t i = 0; i < t->vocab.n; i++) n += mega_vocab_has(&t->vocab, i);
    return n;
}

static mega_status search(
    struct mega_filling *f, mega_run *r, const mega_model *m, const mega_tokenizer *t)
{
    int64_t n = (int64_t)f->ids.n;
    struct search s = { f, t };
    mega_tensor ids = mega_tensor_over(f->ids.id, MEGA_I32, 2, (int64_t[]){ 1, n });
    struct mega_rows rows = { .B = 1, .T = n };
    int32_t *wanted = malloc((size_t)n * sizeof *wanted);
    f->best = calloc((size_t)(f->masks * f->top), sizeof *f->best);
    if (!wanted || !f->best) {
        free(wanted);
        return no_memory();
    }
    for (int64_t i = 0; i < n; i++) wanted[i] = -1;
    for (int64_t i = 0; i < f->masks; i++) wanted[f->place[i]] = 0;
    mega_status status = mega_masked_logits(r, m, &ids, &rows, wanted, find_best, &s);
    free(wanted);
    return status;
}

static mega_status fill(struct mega_filling *f, mega_run *r, const mega_model *m,
    const mega_tokenizer *t, const char *text, size_t n, const struct mega_fill_options *o)
{
    int64_t V = mega_model_config_vocabulary(&m->config).size;
    int32_t mask = mega_tokenizer_mask(t);
    if (mask < 0) mask = mega_tokenizer_size(t);
    if (mask >= V)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "the tokenizer has no [MASK] or <mask>, and the model no id behind its %d",
            mega_tokenizer_size(t));
    if (!mega_ids_add(&f->ids, t->before.id, t->before.n)) return no_memory();
    f->begin = f->ids.n;
    MEGA_TRY(encode_text(f, t, mask, text, n, o->specials));
    f->end = f->ids.n;
    if (!mega_ids_add(&f->ids, &o->last, o->last >= 0) ||
        !mega_ids_add(&f->ids, t->after.id, t->after.n))
        return no_memory();
    MEGA_TRY(check_length(f, m));
    return search(f, r, m, t);
}

mega_status mega_fill_text(struct mega_filling *out, mega_run *r, const mega_model *m,
    const mega_tokenizer *t, const char *text, size_t n, const struct mega_fill_options *o)
{
    int64_t most = pieces(t);
    *out = (struct mega_filling){ .top = o->top < most ? o->top : most };
    if (m->config.architecture != MEGA_MASKED_MODEL || !m->config.masked.options.masked)
        return mega_fail(MEGA_UNSUPPORTED,
            "this model does not tell masked tokens: expected a masked language model (BERT) "
            "with its masked_head");
    mega_status status = fill(out, r, m, t, text, n, o);
    if (status) mega_filling_done(out);
    return status;
}

/* ---- the text with a candidate in it ---- */

/* ids that are pieces; behind others a blank comes where words are joined by blanks */
static mega_status add_decoded(
    const mega_tokenizer *t, const int32_t *id, size_t n, struct mega_text *out)
{
    struct mega_decode_options how = { .specials = true, .inside = out->size > 0 };
    char *bytes;
    size_t size;
    if (!n) return MEGA_OK;
    MEGA_TRY(mega_tokenizer_decode(t, id, n, &how, &bytes, &size));
    if (out->size && t->joining.blank) mega_text_add(out, "%s", t->joining.blank);
    mega_text_add_bytes(out, bytes, size);
    free(bytes);
    return MEGA_OK;
}

mega_status mega_filling_text(const struct mega_filling *f, const mega_tokenizer *t, int64_t i,
    int32_t id, struct mega_text *out)
{
    size_t n = f->end - f->begin, done = 0;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    if (!ids) return no_memory();
    memcpy(ids, f->ids.id + f->begin, n * sizeof *ids);
    ids[f->place[i] - (int64_t)f->begin] = id;
    mega_text_clear(out);
    mega_text_add(out, "%s", "");
    mega_status status = MEGA_OK;
    /* a mask that is no piece of the tokenizer is written as the text had it */
    for (size_t k = 0; k < n && !status; k++) {
        if (mega_vocab_has(&t->vocab, ids[k])) continue;
        status = add_decoded(t, ids + done, k - done, out);
        if (out->size && t->joining.blank) mega_text_add(out, "%s", t->joining.blank);
        mega_text_add(out, "%s", mega_mask_spelling(t));
        done = k + 1;
    }
    if (!status) status = add_decoded(t, ids + done, n - done, out);
    if (!status && out->failed) status = no_memory();
    free(ids);
    return status;
}
