#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/safetensors.h"
#include "model/foreign.h"
#include "model/transformer_rules.h"

static mega_status declare(mega_model *m)
{
    const struct mega_model_config *c = &m->config;
    mega_build b = { .store = &m->store };
    if (c->architecture == MEGA_LANGUAGE_MODEL)
        mega_language_model_build(&b, &m->language, &c->language);
    else if (c->architecture == MEGA_MASKED_MODEL)
        mega_masked_model_build(&b, &m->masked, &c->masked.options, c->masked.vocabulary.size);
    else
        mega_classifier_build(&b, &m->classifier,
            &(struct mega_classifier_encoder){
                c->encoder_kind, &c->encoder, c->mixer, &c->transformer },
            &c->head, &c->task);
    return b.status;
}

mega_status mega_model_new(
    mega_model **out, const struct mega_model_config *config, bool numbers, bool for_training)
{
    *out = NULL;
    mega_model *m = calloc(1, sizeof *m);
    if (!m) return mega_fail(MEGA_NO_MEMORY, "no memory for a model");
    m->config = *config;
    mega_status status = mega_store_init(&m->store);
    if (!status) status = declare(m);
    if (!status && numbers) status = mega_store_lay_out(&m->store, for_training);
    if (status) {
        mega_model_free(m);
        return status;
    }
    *out = m;
    return MEGA_OK;
}

void mega_model_free(mega_model *m)
{
    if (!m) return;
    mega_store_done(&m->store);
    mega_document_done(&m->document);
    free(m);
}

static const char *masked_doubt(const struct mega_masked_model_options *o, int n)
{
    if (o->pooler && n-- == 0)
        return "pooler is true, but masked tokens do not train it: it stays as it begins";
    return mega_transformer_doubt(&o->encoder, n);
}

const char *mega_model_config_doubt(const struct mega_model_config *c, int n)
{
    if (c->architecture == MEGA_MASKED_MODEL) return masked_doubt(&c->masked.options, n);
    const struct mega_decoder_type *decoder = mega_decoders[c->language.decoder];
    if (c->architecture == MEGA_LANGUAGE_MODEL)
        return decoder->doubt ? decoder->doubt(c->language.options, n) : NULL;
    return c->encoder_kind == MEGA_ENCODER_TRANSFORMER
               ? mega_transformer_doubt(&c->transformer, n)
               : NULL;
}

struct mega_vocabulary mega_model_config_vocabulary(const struct mega_model_config *c)
{
    return c->architecture == MEGA_MASKED_MODEL ? c->masked.vocabulary : c->language.vocabulary;
}

int64_t mega_model_config_longest(const struct mega_model_config *c)
{
    if (c->architecture == MEGA_LANGUAGE_MODEL)
        return mega_decoders[c->language.decoder]->shape(c->language.options).longest;
    if (c->architecture == MEGA_MASKED_MODEL) return c->masked.options.encoder.longest;
    return c->encoder_kind == MEGA_ENCODER_TRANSFORMER ? c->transformer.longest
                                                       : c->encoder.longest;
}

int64_t mega_model_towers(const mega_model *m)
{
    return m->config.architecture == MEGA_CLASSIFIER ? m->config.task.towers : 1;
}

struct mega_stack *mega_model_stack(mega_model *m)
{
    struct mega_language_model *l = &m->language;
    if (m->config.architecture == MEGA_MASKED_MODEL) return &m->masked.encoder.stack;
    return l->decoder ? l->decoder->stack(l->self) : mega_classifier_stack(&m->classifier);
}

int64_t mega_model_parameters(const mega_model *m)
{
    return m->store.numbers;
}

static mega_status load_foreign(mega_model **out, const char *path)
{
    struct mega_foreign f;
    MEGA_TRY(mega_foreign_load(&f, path, NULL, NULL));
    *out = f.model;
    f.model = NULL;
    mega_foreign_done(&f);
    return MEGA_OK;
}

mega_status mega_model_load(mega_model **out, const char *folder)
{
    *out = NULL;
    if (mega_foreign_is(folder)) return load_foreign(out, folder);
    struct mega_model_config config;
    struct mega_document document = { 0 };
    MEGA_TRY(mega_model_config_load(&config, &document, folder));
    mega_model *m = NULL;
    mega_status status = mega_model_new(&m, &config, true, false);
    if (status) {
        mega_document_done(&document);
        return mega_fail_in(status, "%s/config.json: ", folder);
    }
    m->document = document;
    struct mega_text path = { 0 };
    mega_text_add(&path, "%s/model.safetensors", folder);
    status = path.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a path")
                         : mega_model_load_weights(m, path.data);
    mega_text_done(&path);
    if (status)
        mega_model_free(m);
    else
        *out = m;
    return status;
}

/* ---- weights ---- */

static void describe(struct mega_st_tensor *to, const char *name, const mega_tensor *t)
{
    *to = (struct mega_st_tensor){ .name = name, .rank = t->rank, .data = t->data };
    strcpy(to->dtype, mega_dtype_name(t->dtype));
    memcpy(to->dim, t->dim, sizeof t->dim);
}

mega_status mega_model_save_weights(const mega_model *m, const char *path)
{
    const struct mega_store *s = &m->store;
    struct mega_st_tensor *tensor = calloc((size_t)(s->n_params + s->n_cells), sizeof *tensor);
    if (!tensor) return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path);
    int n = 0;
    for (const struct mega_param *p = s->first; p; p = p->next)
        describe(&tensor[n++], p->name, &p->value);
    for (const struct mega_cell *c = s->first_cell; c; c = c->next)
        if (c->kind == MEGA_CELL_MODEL) describe(&tensor[n++], c->name, &c->value);
    static const struct mega_st_entry meta[] = { { "format", "pt" } };
    mega_status status = mega_safetensors_write(path, tensor, n, meta, 1);
    free(tensor);
    return status;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

/* what official files hold beside weights (Mega section 9.1) */
static bool ignored(const char *name)
{
    return ends_with(name, "version") || ends_with(name, "_float_tensor") ||
           ends_with(name, "num_batches_tracked");
}

static mega_status refuse_unknown(
    const mega_model *m, const struct mega_safetensors *s, const char *path)
{
    for (int i = 0; i < s->n; i++) {
        const char *name = s->tensor[i].name;
        if (!ignored(name) && !mega_store_find(&m->store, name) &&
            !mega_store_find_cell(&m->store, name))
            return mega_fail(MEGA_BAD_FILE,
                "%s: tensor %s does not belong to this model: is config.json the right one?",
                path, name);
    }
    return MEGA_OK;
}

/* the tensor of this name, if it has the shape that the model declares and a known type */
static mega_status find_tensor(const struct mega_safetensors *s, const char *path,
    const char *name, int rank, const int64_t *dim, const struct mega_st_tensor **out)
{
    const struct mega_st_tensor *from = *out = mega_safetensors_find(s, name);
    mega_tensor declared = mega_tensor_over(NULL, MEGA_F32, rank, dim);
    mega_dtype type;
    char want[96];
    mega_tensor_print(&declared, want);
    if (!from)
        return mega_fail(
            MEGA_BAD_FILE, "%s: tensor %s is missing, expected %s", path, name, want);
    bool same = from->rank == rank && mega_dtype_find(from->dtype, &type);
    for (int i = 0; same && i < rank; i++) same = from->dim[i] == dim[i];
    if (same) return MEGA_OK;
    char found[160];
    int n = 0;
    for (int i = 0; i < from->rank; i++)
        n += snprintf(found + n, sizeof found - (size_t)n, "%s%lld", i ? ", " : "",
            (long long)from->dim[i]);
    return mega_fail(MEGA_BAD_FILE, "%s: tensor %s is [%.*s] %s, expected %s", path, name, n,
        found, from->dtype, want);
}

mega_status mega_model_check_weights(
    const mega_model *m, const struct mega_safetensors *s, const char *path)
{
    const struct mega_st_tensor *t;
    MEGA_TRY(refuse_unknown(m, s, path));
    for (const struct mega_param *p = m->store.first; p; p = p->next)
        MEGA_TRY(find_tensor(s, path, p->name, p->value.rank, p->value.dim, &t));
    for (const struct mega_cell *c = m->store.first_cell; c; c = c->next)
        if (c->kind == MEGA_CELL_MODEL)
            MEGA_TRY(find_tensor(s, path, c->name, c->rank, c->dim, &t));
    return MEGA_OK;
}

static void take(const struct mega_safetensors *s, const char *name, mega_tensor *to)
{
    const struct mega_st_tensor *from = mega_safetensors_find(s, name);
    for (int64_t i = 0, width = mega_width(to); i < from->count; i++)
        mega_put(to, i / width, i % width, mega_st_real(from, i));
}

mega_status mega_model_load_weights(mega_model *m, const char *path)
{
    struct mega_safetensors s;
    MEGA_TRY(mega_safetensors_open(&s, path));
    mega_status status = mega_model_check_weights(m, &s, path);
    for (struct mega_param *p = m->store.first; p && !status; p = p->next) {
        take(&s, p->name, &p->value);
        p->version++;
    }
    for (struct mega_cell *c = m->store.first_cell; c && !status; c = c->next)
        if (c->kind == MEGA_CELL_MODEL) take(&s, c->name, &c->value);
    mega_safetensors_close(&s);
    return status;
}
