#include "infer/text_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- the model ---- */

/* config.json of the folder is this program's own */
static bool is_ours(const char *path)
{
    struct mega_text file = { 0 };
    struct mega_document d;
    mega_text_add(&file, "%s/config.json", path);
    bool ours = !file.failed && mega_path_is_folder(path) && mega_path_exists(file.data) &&
                !mega_json_load(&d, file.data);
    mega_text_done(&file);
    if (!ours) return false;
    ours = mega_node_find(d.root, "megac") != NULL;
    mega_document_done(&d);
    return ours;
}

static mega_tensor *features(
    mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows)
{
    return mega_language_model_features(r, model, ids, rows);
}

static mega_tensor *logits(mega_run *r, const void *model, mega_tensor *x)
{
    return mega_language_model_logits(r, model, x);
}

static mega_status open_model(struct mega_text_model *m, const char *path)
{
    m->ours = is_ours(path);
    if (m->ours) {
        m->foreign.bos = m->foreign.eos = m->foreign.pad = -1;
        MEGA_TRY(mega_model_load(&m->foreign.model, path));
    } else {
        MEGA_TRY(mega_foreign_load(&m->foreign, path, NULL, NULL));
    }
    const mega_model *model = m->foreign.model;
    if (model->config.architecture != MEGA_LANGUAGE_MODEL)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s: a %s writes no text: mega %s and mega eval use it", path,
            model->config.architecture == MEGA_MASKED_MODEL ? "masked language model"
                                                            : "classifier",
            model->config.architecture == MEGA_MASKED_MODEL ? "fill" : "predict");
    m->step = (struct mega_step_model){ .model = &model->language,
        .store = &model->store,
        .features = features,
        .logits = logits,
        .vocabulary = model->language.vocabulary.size,
        .longest = model->language.shape.longest,
        .chunk = model->language.shape.chunk };
    return MEGA_OK;
}

/* ---- the tokenizer ---- */

/* a value of the task that config.json tells of, "" where it does not */
static const char *task_says(const struct mega_text_model *m, const char *key)
{
    const struct mega_node *root = m->foreign.model->document.root;
    const struct mega_node *task = m->ours && root ? mega_node_find(root, "task") : NULL;
    const struct mega_node *n = task ? mega_node_find(task, key) : NULL;
    return n && n->text ? n->text : "";
}

/* the folder itself, or the one that a file lies in */
static mega_status open_beside(mega_tokenizer **out, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (mega_path_is_folder(path)) return mega_tokenizer_open(out, path);
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder) return mega_fail(MEGA_NO_MEMORY, "no memory for a path");
    mega_status status = mega_tokenizer_open(out, folder);
    free(folder);
    return status;
}

static mega_status open_tokenizer(
    struct mega_text_model *m, const char *path, const char *tokenizer)
{
    if (tokenizer && *tokenizer)
        MEGA_TRY(mega_tokenizer_open(&m->tokenizer, tokenizer));
    else if (!strcmp(task_says(m, "tokenizer"), "bytes"))
        MEGA_TRY(mega_tokenizer_open(&m->tokenizer, "bytes"));
    else
        MEGA_TRY(open_beside(&m->tokenizer, path));
    int64_t ids = mega_tokenizer_size(m->tokenizer);
    if (ids <= m->step.vocabulary) return MEGA_OK;
    return mega_fail(MEGA_BAD_FILE,
        "%s: the tokenizer has %lld ids, but the model's vocabulary is %lld: they do not "
        "belong together",
        path, (long long)ids, (long long)m->step.vocabulary);
}

/* ---- what begins and ends a text ---- */

/* the tokenizer's own frame puts something before a text */
static bool frames(const struct mega_text_model *m)
{
    struct mega_ids ids = { 0 };
    struct mega_encode_options how = { .frame = true };
    bool any = !mega_tokenizer_encode(m->tokenizer, "", 0, &how, &ids) && ids.n;
    mega_ids_done(&ids);
    return any;
}

/* as documents began in training: start, else end_of_document, else the end token */
static enum mega_begin as_trained(const struct mega_text_model *m)
{
    const char *start = task_says(m, "start"), *end = task_says(m, "end_of_document");
    if (!*start || !strcmp(start, "auto")) start = end;
    if (!strcmp(start, "none")) return MEGA_BEGIN_NONE;
    if (!strcmp(start, "bos")) return MEGA_BEGIN_BOS;
    return m->eos >= 0 ? MEGA_BEGIN_EOS : MEGA_BEGIN_NONE;
}

static enum mega_begin resolve(const struct mega_text_model *m)
{
    if (frames(m)) return MEGA_BEGIN_AUTO;
    if (*task_says(m, "name")) return as_trained(m);
    const char *kind = mega_decoders[m->foreign.model->config.language.decoder]->name;
    bool llama = !strcmp(kind, "llama") && m->bos >= 0 && m->bos != m->eos;
    return llama ? MEGA_BEGIN_BOS : MEGA_BEGIN_NONE;
}

/* the tokenizer's, else what the model's own configuration tells */
static int32_t special(const struct mega_text_model *m, enum mega_special which, int64_t told)
{
    int32_t id = mega_tokenizer_special(m->tokenizer, which);
    if (id < 0 && told >= 0 && told < m->step.vocabulary) id = (int32_t)told;
    return id;
}

static mega_status settle(
    struct mega_text_model *m, const char *path, const char *tokenizer, enum mega_begin begin)
{
    m->name = strdup(path);
    if (!m->name) return mega_fail(MEGA_NO_MEMORY, "no memory for a path");
    MEGA_TRY(open_model(m, path));
    MEGA_TRY(open_tokenizer(m, path, tokenizer));
    m->bos = special(m, MEGA_BOS, m->foreign.bos);
    m->eos = special(m, MEGA_EOS, m->foreign.eos);
    m->begin = begin == MEGA_BEGIN_AUTO ? resolve(m) : begin;
    int32_t wanted = m->begin == MEGA_BEGIN_BOS ? m->bos : m->eos;
    if ((m->begin == MEGA_BEGIN_BOS || m->begin == MEGA_BEGIN_EOS) && wanted < 0)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s: the tokenizer has no %s token", path,
            m->begin == MEGA_BEGIN_BOS ? "begin" : "end");
    return MEGA_OK;
}

mega_status mega_text_model_open(
    struct mega_text_model *m, const char *path, const char *tokenizer, enum mega_begin begin)
{
    *m = (struct mega_text_model){ .bos = -1, .eos = -1 };
    mega_status status = settle(m, path, tokenizer, begin);
    if (status) mega_text_model_close(m);
    return status;
}

void mega_text_model_close(struct mega_text_model *m)
{
    mega_tokenizer_close(m->tokenizer);
    mega_foreign_done(&m->foreign);
    free(m->name);
    *m = (struct mega_text_model){ 0 };
}

/* ---- encoding ---- */

static mega_status add_id(struct mega_ids *ids, int32_t id)
{
    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 64;
        int32_t *larger = realloc(ids->id, room * sizeof *larger);
        if (!larger) return mega_fail(MEGA_NO_MEMORY, "no memory for a text");
        ids->id = larger;
        ids->room = room;
    }
    ids->id[ids->n++] = id;
    return MEGA_OK;
}

mega_status mega_text_model_encode(const struct mega_text_model *m, const char *text,
    size_t size, bool first, bool specials, struct mega_ids *ids)
{
    bool frame = first && m->begin == MEGA_BEGIN_AUTO;
    if (first && m->begin == MEGA_BEGIN_BOS) MEGA_TRY(add_id(ids, m->bos));
    if (first && m->begin == MEGA_BEGIN_EOS) MEGA_TRY(add_id(ids, m->eos));
    struct mega_encode_options how = { .frame = frame, .specials = specials };
    size_t before = ids->n;
    MEGA_TRY(mega_tokenizer_encode(m->tokenizer, text, size, &how, ids));
    /* the text goes on: an end that the frame puts behind it is not wanted */
    if (frame && ids->n > before + 1 && ids->id[ids->n - 1] == m->eos) ids->n--;
    int32_t stand_in = m->bos >= 0 ? m->bos : m->eos;
    return first && !ids->n && stand_in >= 0 ? add_id(ids, stand_in) : MEGA_OK;
}
