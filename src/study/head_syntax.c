#include "study/head_syntax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

enum { WIDEST = 64 };

const char *const mega_syntax_names[MEGA_SYNTAX_SCORES] = { "nsubj", "nsubj_back", "obj",
    "obj_back", "amod", "amod_back", "advmod", "advmod_back" };

mega_status mega_head_syntax_new(struct mega_head_syntax *s, const struct mega_model_heads *h)
{
    *s = (struct mega_head_syntax){ 0 };
    mega_status status = MEGA_OK;
    for (int i = 0; i < MEGA_SYNTAX_SCORES && !status; i++)
        status = mega_head_table_new(&s->score[i], h);
    s->distance = calloc(MEGA_SYNTAX_SCORES * (2 * WIDEST + 1), sizeof *s->distance);
    if (!status && !s->distance)
        status = mega_fail(MEGA_NO_MEMORY, "no memory for statistics of heads");
    if (status) mega_head_syntax_free(s);
    return status;
}

void mega_head_syntax_free(struct mega_head_syntax *s)
{
    for (int i = 0; i < MEGA_SYNTAX_SCORES; i++) mega_head_table_free(&s->score[i]);
    free(s->distance);
    *s = (struct mega_head_syntax){ 0 };
}

/* "nsubj:pass" is an nsubj, "dobj" the older name of obj; -1: another one */
static int relation_of(const char *name)
{
    static const char *const known[] = { "nsubj", "obj", "amod", "advmod", "dobj" };
    size_t n = strcspn(name, ":");
    for (int i = 0; i < 5; i++)
        if (strlen(known[i]) == n && !strncmp(known[i], name, n)) return i == 4 ? 1 : i;
    return -1;
}

/* weights of words [words, words] from those of pieces */
static void gather(const struct mega_head_maps *m, const float *w, const int32_t *word_of,
    int32_t words, double *out)
{
    double *pieces = calloc((size_t)words + 1, sizeof *pieces);
    memset(out, 0, (size_t)words * (size_t)words * sizeof *out);
    for (int64_t i = 0; pieces && i < m->T; i++) {
        if (word_of[i] < 0) continue;
        pieces[word_of[i]]++;
        for (int64_t j = 0; j < m->T; j++)
            if (word_of[j] >= 0)
                out[word_of[i] * words + word_of[j]] += (double)w[i * m->T + j];
    }
    for (int64_t k = 0; pieces && k < (int64_t)words * words; k++)
        if (pieces[k / words] > 0) out[k] /= pieces[k / words];
    free(pieces);
}

/* some piece of word a sees some piece of word b */
static bool sees(const struct mega_head_maps *m, const int32_t *word_of, int32_t a, int32_t b)
{
    for (int64_t i = 0; i < m->T; i++)
        for (int64_t j = m->from[i]; word_of[i] == a && j < m->to[i]; j++)
            if (word_of[j] == b) return true;
    return false;
}

/* counts the pair a -> b of score k in one head, or (row NULL) for the baseline */
static void count_pair(struct mega_head_syntax *s, int k, const double *row, int32_t words,
    int32_t a, int32_t b, int64_t cell)
{
    if (!row) {
        int32_t d = b - a;
        s->pairs[k]++;
        if (d >= -WIDEST && d <= WIDEST) s->distance[k * (2 * WIDEST + 1) + d + WIDEST]++;
        return;
    }
    int32_t best = -1;
    for (int32_t j = 0; j < words; j++)
        if (best < 0 || row[a * words + j] > row[a * words + best]) best = j;
    s->score[k].value[cell] += best == b;
}

static void count_pairs(struct mega_head_syntax *s, const struct mega_head_maps *m,
    const int32_t *word_of, const struct mega_conllu_sentence *sentence, const double *row,
    int64_t cell)
{
    for (int32_t i = 0; i < sentence->n; i++) {
        int relation = relation_of(sentence->word[i].relation);
        int32_t head = sentence->word[i].head;
        if (relation < 0 || head < 0) continue;
        if (sees(m, word_of, i, head))
            count_pair(s, 2 * relation, row, sentence->n, i, head, cell);
        if (sees(m, word_of, head, i))
            count_pair(s, 2 * relation + 1, row, sentence->n, head, i, cell);
    }
}

mega_status mega_head_syntax_see(struct mega_head_syntax *s, const struct mega_head_maps *m,
    const int32_t *word_of, const struct mega_conllu_sentence *sentence)
{
    size_t n = (size_t)sentence->n * (size_t)sentence->n;
    double *row = malloc((n + 1) * sizeof *row);
    if (!row) return mega_fail(MEGA_NO_MEMORY, "no memory for the weights of words");
    count_pairs(s, m, word_of, sentence, NULL, 0);
    for (int64_t cell = 0; cell < m->layers * m->heads; cell++) {
        if (!m->there[cell]) continue;
        gather(
            m, mega_map_row(m, cell / m->heads, cell % m->heads, 0), word_of, sentence->n, row);
        count_pairs(s, m, word_of, sentence, row, cell);
    }
    free(row);
    return MEGA_OK;
}

void mega_head_syntax_finish(struct mega_head_syntax *s)
{
    for (int k = 0; k < MEGA_SYNTAX_SCORES; k++) {
        double most = 0, pairs = s->pairs[k];
        for (int64_t i = 0; i < s->score[k].layers * s->score[k].heads; i++)
            if (pairs > 0) s->score[k].value[i] /= pairs;
        for (int d = 0; d <= 2 * WIDEST; d++)
            most = fmax(most, s->distance[k * (2 * WIDEST + 1) + d]);
        s->baseline[k] = pairs > 0 ? most / pairs : 0;
    }
}

bool mega_head_is_syntactic(double score, double baseline)
{
    return score - baseline >= 0.1 - 1e-12;
}

/* ---- sentences of a file ---- */

/* A sentence as text, and where its words end there. */
static mega_status write_out(
    const struct mega_conllu_sentence *s, struct mega_text *text, size_t *end)
{
    for (int32_t i = 0; i < s->n; i++) {
        if (i && s->word[i - 1].space) mega_text_add(text, " ");
        mega_text_add_bytes(text, s->word[i].form, strlen(s->word[i].form));
        end[i] = text->size;
    }
    return text->failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a sentence") : MEGA_OK;
}

/* the word in which each piece ends: what the first k ids decode to grows by piece k */
static mega_status align(const mega_tokenizer *t, const struct mega_ids *ids, const size_t *end,
    int32_t words, int32_t *word_of)
{
    int32_t word = 0;
    for (size_t k = 0; k < ids->n; k++) {
        char *part = NULL;
        size_t size = 0;
        MEGA_TRY(mega_tokenizer_decode(t, ids->id, k + 1, NULL, &part, &size));
        free(part);
        while (word < words - 1 && size > end[word]) word++;
        word_of[k] = word;
    }
    return MEGA_OK;
}

static mega_status encode_text(const mega_tokenizer *t, const struct mega_conllu_sentence *s,
    struct mega_ids *ids, int32_t *word_of, int64_t room)
{
    struct mega_text text = { 0 };
    size_t *end = malloc(((size_t)s->n + 1) * sizeof *end);
    mega_status status =
        end ? write_out(s, &text, end) : mega_fail(MEGA_NO_MEMORY, "no memory for a sentence");
    if (!status) status = mega_tokenizer_encode(t, text.data, text.size, NULL, ids);
    if (!status && (int64_t)ids->n <= room) status = align(t, ids, end, s->n, word_of);
    mega_text_done(&text);
    free(end);
    return status;
}

/* words that are joined by blanks: no piece is of two of them, and what decoding makes of the
 * pieces need not be as long as the text */
static mega_status encode_words(const mega_tokenizer *t, const struct mega_conllu_sentence *s,
    struct mega_ids *ids, int32_t *word_of, int64_t room)
{
    for (int32_t i = 0; i < s->n; i++) {
        size_t k = ids->n;
        MEGA_TRY(mega_tokenizer_encode(t, s->word[i].form, strlen(s->word[i].form), NULL, ids));
        for (; (int64_t)ids->n <= room && k < ids->n; k++) word_of[k] = i;
    }
    return MEGA_OK;
}

/* Places of no word around a sentence. */
struct frame {
    const int32_t *before, *after;
    int64_t n_before, n_after;
};

static void frame_put(int32_t *id, int32_t *word_of, const int32_t *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        id[i] = from[i];
        word_of[i] = -1;
    }
}

/* the ids of a sentence and the word that each is a piece of */
static mega_status encode(const mega_tokenizer *t, const struct frame *f,
    const struct mega_conllu_sentence *s, int32_t *id, int32_t *word_of, int64_t room,
    int64_t *n)
{
    struct mega_ids ids = { 0 };
    mega_status status = (t->joining.blank ? encode_words : encode_text)(
        t, s, &ids, word_of + f->n_before, room - f->n_before - f->n_after);
    int64_t end = f->n_before + (int64_t)ids.n;
    *n = end + f->n_after;
    if (!status && *n <= room) {
        frame_put(id, word_of, f->before, f->n_before);
        memcpy(id + f->n_before, ids.id, ids.n * sizeof *id);
        frame_put(id + end, word_of + end, f->after, f->n_after);
    }
    mega_ids_done(&ids);
    return status;
}

static mega_status see_sentence(mega_run *r, const mega_model *m, const mega_tokenizer *t,
    const struct frame *frame, const struct mega_conllu_sentence *s,
    struct mega_head_syntax *out)
{
    enum { ROOM = 4096 };
    int64_t lead = mega_head_maps_lead(m); /* places of no word */
    int32_t *id = malloc((size_t)(2 * ROOM + lead) * sizeof *id), *word_of = id + ROOM;
    if (!id) return mega_fail(MEGA_NO_MEMORY, "no memory for a sentence");
    for (int64_t i = 0; i < lead; i++) word_of[i] = -1;
    int64_t longest = mega_model_config_longest(&m->config), n = 0,
            room = longest && longest < ROOM ? longest : ROOM;
    struct mega_head_maps maps;
    mega_status status = encode(t, frame, s, id, word_of + lead, room, &n);
    /* what does not fit is left out whole, so that no pair is cut */
    bool fits = n <= room && s->n <= ROOM;
    out->left_out += !status && !fits;
    if (!status && n > 0 && fits) {
        struct mega_batch b = { .n = 1, .tokens = n };
        b.rows[0] = (struct mega_rows){ .B = 1, .T = n };
        b.text[0] = mega_tensor_over(id, MEGA_I32, 2, (int64_t[]){ 1, n });
        b.target = mega_tensor_over(id, MEGA_I32, 1, &n);
        status = mega_head_maps_take(&maps, r, m, &b);
        if (!status) {
            status = mega_head_syntax_see(out, &maps, word_of, s);
            mega_head_maps_free(&maps);
        }
    }
    free(id);
    return status;
}

mega_status mega_study_syntax(mega_run *r, const mega_model *m, const mega_tokenizer *t,
    int32_t start, const struct mega_conllu *c, int64_t most, struct mega_head_syntax *out)
{
    struct mega_model_heads h;
    struct frame frame = { &start, NULL, start >= 0, 0 };
    if (m->config.architecture == MEGA_MASKED_MODEL)
        frame = (struct frame){ t->before.id, t->after.id, (int64_t)t->before.n,
            (int64_t)t->after.n };
    *out = (struct mega_head_syntax){ 0 };
    MEGA_TRY(mega_model_heads_find(&h, m));
    mega_status status = mega_head_syntax_new(out, &h);
    for (int64_t i = 0; i < c->n && (!most || i < most) && !status; i++)
        status = see_sentence(r, m, t, &frame, &c->sentence[i], out);
    mega_model_heads_done(&h);
    if (!status)
        mega_head_syntax_finish(out);
    else
        mega_head_syntax_free(out);
    return status;
}
