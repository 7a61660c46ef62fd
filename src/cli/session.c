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

static mega_status open_all(
    struct mega_session *s, const char *path, const struct mega_open *o, int precision)
{
    char folder[1280], recipe[1280];
    struct mega_task_options files, *known = NULL;
    MEGA_TRY(mega_run_folder_model(path, folder));
    MEGA_TRY(mega_open_context(&s->context, o));
    MEGA_TRY(mega_model_load(&s->model, folder));
    MEGA_TRY(mega_run_new(&s->run, s->context));
    snprintf(recipe, sizeof recipe, "%.1100s/recipe.full.yaml", path);
    if (mega_path_exists(recipe)) {
        MEGA_TRY(mega_yaml_load(&s->recipe, recipe));
        MEGA_TRY(mega_node_read(&s->recipe, mega_node_find(s->recipe.root, "task"), "task",
            mega_task_options, NULL, &files));
        known = &files;
    }
    set_precision(s, precision);
    return mega_classify_open_model(&s->task, s->model, known);
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
    mega_job_close(mega_classify_job(s->task));
    mega_run_free(s->run);
    mega_model_free(s->model);
    mega_context_free(s->context);
    mega_document_done(&s->recipe);
    *s = (struct mega_session){ 0 };
}
