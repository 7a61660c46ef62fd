#include "cli/session.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "train/run_folder.h"

/* sets what the run computes in, and says what follows */
static void set_precision(struct mega_session *s, int chosen)
{
    const struct mega_node *root = s->recipe.root, *n = NULL;
    const struct mega_node *train = root ? mega_node_find(root, "train") : NULL;
    if (train) n = mega_node_find(train, "precision");
    int precision = chosen - MEGA_SESSION_FLOAT32;
    if (chosen == MEGA_SESSION_RECIPE)
        precision = n && n->text ? mega_choice_find(MEGA_PRECISION_CHOICES, n->text)
                                 : MEGA_PRECISION_FLOAT32;
    mega_run_set_dtype(s->run, mega_precision_type(precision));
    const char *note = mega_precision_note(precision, s->context);
    if (note) mega_log_line(&s->context->log, MEGA_LOG_NOTE, "%s", note);
}

/* A model from elsewhere: its folder holds a tokenizer and no word on texts. As mega score has
 * it, a Llama's begin with the begin token, others with nothing, and none gets an end. */
static void set_foreign_texts(struct mega_session *s)
{
    const struct mega_decoder_type *decoder = s->model->language.decoder;
    struct mega_corpus_options *c = &s->files.language.corpus;
    mega_task_options_language(&s->files, s->model->config.architecture);
    if (s->model->config.architecture == MEGA_MASKED_MODEL) {
        int64_t longest = mega_model_config_longest(&s->model->config);
        if (longest && longest < c->length) c->length = longest;
        c->end_of_document = MEGA_END_NONE;
        return;
    }
    c->end_of_document = MEGA_END_NONE;
    c->start = strcmp(decoder->name, "llama") ? MEGA_START_NONE : MEGA_START_BOS;
}

/* what the recipe of a run, else config.json, says of the task */
static mega_status read_task(struct mega_session *s, const char *path)
{
    char recipe[1280];
    snprintf(recipe, sizeof recipe, "%.1100s/recipe.full.yaml", path);
    const struct mega_document *d = &s->model->document;
    if (mega_path_exists(recipe)) {
        MEGA_TRY(mega_yaml_load(&s->recipe, recipe));
        d = &s->recipe;
    }
    const struct mega_node *task = mega_node_find(d->root, "task");
    if (!task && s->model->config.architecture != MEGA_CLASSIFIER) {
        set_foreign_texts(s);
        return MEGA_OK;
    }
    return mega_task_options_read(&s->files, d, task);
}

static mega_status open_all(
    struct mega_session *s, const char *path, const struct mega_open *o, int precision)
{
    MEGA_TRY(mega_run_folder_model(path, s->folder));
    MEGA_TRY(mega_open_context(&s->context, o));
    MEGA_TRY(mega_model_load(&s->model, s->folder));
    MEGA_TRY(mega_run_new(&s->run, s->context));
    MEGA_TRY(read_task(s, path));
    set_precision(s, precision);
    if (s->model->config.architecture != MEGA_CLASSIFIER) return MEGA_OK;
    MEGA_TRY(mega_classify_open_model(&s->task, s->model, &s->files));
    s->job = mega_classify_job(s->task);
    return MEGA_OK;
}

mega_status mega_session_open_texts(struct mega_session *s)
{
    return mega_language_open_model(&s->job, s->model, s->folder, &s->files, &s->context->log);
}

mega_status mega_session_need_classes(const struct mega_session *s, const char *command)
{
    return s->task ? MEGA_OK
                   : mega_fail(MEGA_UNSUPPORTED,
                         "%s: a language model has no classes, so mega %s has nothing to say: "
                         "mega eval measures it, %s",
                         s->folder, command,
                         s->model->config.architecture == MEGA_MASKED_MODEL
                             ? "mega fill uses it"
                             : "mega score and mega generate use it");
}

mega_status mega_session_open(
    struct mega_session *s, const char *path, const struct mega_open *o, int precision)
{
    *s = (struct mega_session){ 0 };
    mega_status status = open_all(s, path, o, precision);
    if (status) mega_session_close(s);
    return status;
}

mega_status mega_session_read(struct mega_session *s, const char *file, bool labels)
{
    struct mega_text text = { 0 };
    mega_status status = mega_file_read_gz(file, &text);
    if (!status)
        status = mega_classify_take(s->task, MEGA_SPLIT_TEST,
            strcmp(file, "-") ? file : "standard input", text.data, text.size, labels);
    mega_text_done(&text);
    return status;
}

void mega_session_close(struct mega_session *s)
{
    mega_job_close(s->job);
    mega_run_free(s->run);
    mega_model_free(s->model);
    mega_context_free(s->context);
    mega_document_done(&s->recipe);
    *s = (struct mega_session){ 0 };
}
