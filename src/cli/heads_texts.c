#include "cli/heads_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/masked.h"

struct taking {
    struct mega_heads_texts *texts;
    struct mega_heads_session *heads;
    bool relevance;
};

/* is it the mask of a tokenizer that has none of its own? */
static bool is_added_mask(const struct mega_heads_session *h, int32_t id)
{
    return h->session.model->config.architecture == MEGA_MASKED_MODEL &&
           mega_tokenizer_mask(h->tokenizer) < 0 && id == mega_tokenizer_size(h->tokenizer);
}

/* a token's piece; an id without one by its number */
static char *name_of(const struct mega_heads_session *h, int32_t id)
{
    if (id == MEGA_PLACE_MEMORY) return strdup("[memory]");
    if (id == MEGA_PLACE_CLASS) return strdup("[class]");
    if (is_added_mask(h, id)) return strdup(mega_mask_spelling(h->tokenizer));
    size_t size = 0;
    const char *piece = h->tokenizer && id >= 0 && id < mega_tokenizer_size(h->tokenizer)
                            ? mega_tokenizer_piece(h->tokenizer, id, &size)
                            : NULL;
    char *out = malloc(piece && size ? size + 1 : 16);
    if (out && piece && size) {
        memcpy(out, piece, size);
        out[size] = 0;
    } else if (out) {
        snprintf(out, 16, "%d", id);
    }
    return out;
}

/* a place of pixels or samples by where it stands */
static char *name_of_number(int64_t place)
{
    char *out = malloc(24);
    if (out) snprintf(out, 24, "%lld", (long long)place);
    return out;
}

/* a class by its label, a token by its piece */
static char *name_of_prediction(const struct mega_heads_session *h, int64_t id)
{
    const mega_model *m = h->session.model;
    char number[16];
    if (m->config.architecture != MEGA_CLASSIFIER) return name_of(h, (int32_t)id);
    snprintf(number, sizeof number, "%d", (int)id);
    return strdup(id < m->config.labels.n ? m->config.labels.item[id] : number);
}

static mega_status take_predictions(
    struct taking *k, struct mega_head_text *t, struct mega_batch *b)
{
    struct mega_contributions *c = &t->made_of;
    const struct mega_session *s = &k->heads->session;
    MEGA_TRY(mega_study_contributions(c, s->run, s->model, false, b));
    t->predicted = calloc((size_t)c->predictions + 1, sizeof *t->predicted);
    for (int64_t p = 0; t->predicted && p < c->predictions; p++)
        if (!(t->predicted[p] = name_of_prediction(k->heads, c->predicted[p])))
            return mega_fail(MEGA_NO_MEMORY, "no memory for a text's predictions");
    return t->predicted ? MEGA_OK
                        : mega_fail(MEGA_NO_MEMORY, "no memory for a text's predictions");
}

static mega_status take(void *arg, struct mega_batch *b)
{
    struct taking *k = arg;
    struct mega_head_text *t = &k->texts->text[k->texts->n];
    MEGA_TRY(mega_head_maps_take(&t->maps, k->heads->session.run, k->heads->session.model, b));
    k->texts->n++;
    if (k->relevance) MEGA_TRY(take_predictions(k, t, b));
    t->token = calloc((size_t)t->maps.T + 1, sizeof *t->token);
    bool numbers = b->text[0].dtype != MEGA_I32;
    for (int64_t i = 0; t->token && i < t->maps.T; i++)
        if (!(t->token[i] =
                    numbers && t->maps.id[i] >= 0
                        ? name_of_number(i - mega_head_maps_lead(k->heads->session.model))
                        : name_of(k->heads, t->maps.id[i])))
            return mega_fail(MEGA_NO_MEMORY, "no memory for a text's tokens");
    return t->token ? MEGA_OK : mega_fail(MEGA_NO_MEMORY, "no memory for a text's tokens");
}

mega_status mega_heads_texts_take(
    struct mega_heads_texts *t, struct mega_heads_session *h, int64_t most, bool relevance)
{
    *t = (struct mega_heads_texts){ calloc((size_t)most + 1, sizeof *t->text), 0 };
    if (!t->text) return mega_fail(MEGA_NO_MEMORY, "no memory for texts");
    struct mega_study_data data = h->data;
    if (!data.texts || data.texts > most) data.texts = most;
    mega_status status =
        most ? mega_study_each(&data, take, &(struct taking){ t, h, relevance }) : MEGA_OK;
    if (status) mega_heads_texts_free(t);
    return status;
}

void mega_heads_texts_free(struct mega_heads_texts *t)
{
    for (int64_t n = 0; n < t->n; n++) {
        for (int64_t i = 0; t->text[n].token && i < t->text[n].maps.T; i++)
            free(t->text[n].token[i]);
        for (int64_t i = 0; t->text[n].predicted && i < t->text[n].made_of.predictions; i++)
            free(t->text[n].predicted[i]);
        free(t->text[n].predicted);
        mega_contributions_free(&t->text[n].made_of);
        free(t->text[n].token);
        mega_head_maps_free(&t->text[n].maps);
    }
    free(t->text);
    *t = (struct mega_heads_texts){ 0 };
}
