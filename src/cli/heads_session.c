#include "cli/heads_session.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "format/node.h"
#include "train/checkpoint.h"

/* rows that stand for themselves: nothing is carried from one to the next */
static mega_status open_texts(
    struct mega_heads_session *h, const struct mega_heads_data_options *o)
{
    struct mega_session *s = &h->session;
    struct mega_corpus_options *c = &s->files.language.corpus;
    MEGA_TRY(mega_language_tokenizer(&h->tokenizer, s->model, s->folder));
    h->end = mega_tokenizer_special(h->tokenizer, MEGA_EOS);
    /* a folder from elsewhere does not say which tokenizer it has, but holds it */
    if (strcmp(mega_tokenizer_kind(h->tokenizer), "bytes") != 0)
        s->files.language.tokenizer = "";
    if (h->file) c->test = (struct mega_texts){ &h->file, 1 };
    if (o->length) c->length = o->length;
    c->evaluate = MEGA_EVALUATE_ROWS;
    /* packed documents do not see each other: each is a row as well */
    if (c->rows == MEGA_TEXT_PACKED) c->rows = MEGA_TEXT_DOCUMENT;
    /* what a Llama from elsewhere begins with, if its tokenizer has it */
    if (c->start == MEGA_START_BOS && mega_tokenizer_special(h->tokenizer, MEGA_BOS) < 0)
        c->start = MEGA_START_NONE;
    return mega_session_open_texts(s);
}

static mega_status open_all(struct mega_heads_session *h, const char *path,
    const struct mega_heads_data_options *o, bool any)
{
    struct mega_model_heads heads;
    MEGA_TRY(mega_session_open(&h->session, path, &o->open, MEGA_SESSION_FLOAT32));
    MEGA_TRY(any ? mega_model_heads_list(&heads, h->session.model)
                 : mega_model_heads_find(&heads, h->session.model));
    mega_model_heads_done(&heads);
    if (!h->session.task) MEGA_TRY(open_texts(h, o));
    h->data = (struct mega_study_data){ h->session.run, h->session.job,
        h->file ? MEGA_SPLIT_TEST : (enum mega_split)o->split, o->texts };
    return MEGA_OK;
}

static mega_status open_with(struct mega_heads_session *h, const char *path, const char *file,
    const struct mega_heads_data_options *o, bool any)
{
    *h = (struct mega_heads_session){ .file = file, .end = -1 };
    mega_status status = open_all(h, path, o, any);
    if (status) mega_heads_close(h);
    return status;
}

mega_status mega_heads_open(struct mega_heads_session *h, const char *path, const char *file,
    const struct mega_heads_data_options *o)
{
    return open_with(h, path, file, o, false);
}

mega_status mega_heads_open_any(struct mega_heads_session *h, const char *path,
    const char *file, const struct mega_heads_data_options *o)
{
    return open_with(h, path, file, o, true);
}

mega_status mega_heads_load(struct mega_heads_session *h, const char *file)
{
    struct mega_session *s = &h->session;
    if (!s->task) return mega_job_load(s->job, h->data.split);
    return file ? mega_session_read(s, file, true) : mega_classify_load(s->task, h->data.split);
}

void mega_heads_close(struct mega_heads_session *h)
{
    mega_tokenizer_close(h->tokenizer);
    mega_session_close(&h->session);
    *h = (struct mega_heads_session){ 0 };
}

/* the task as the model describes it, where it does: rows for a study are no part of it */
static mega_status print_config(
    const struct mega_heads_session *h, const mega_model *m, struct mega_text *to)
{
    const struct mega_node *own = mega_node_find(h->session.model->document.root, "task");
    if (!own) return mega_job_config(h->session.job, m, to);
    struct mega_text task = { 0 };
    mega_json_add_node(&task, own, 2);
    mega_status status = task.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory for a configuration")
                             : mega_model_heads_config(m, task.data, to);
    mega_text_done(&task);
    return status;
}

static mega_status save_part(
    const struct mega_heads_session *h, const mega_model *m, const char *part)
{
    struct mega_text config = { 0 };
    MEGA_TRY(mega_folder_remove(part));
    mega_status status = print_config(h, m, &config);
    if (!status) status = mega_model_folder_save(part, m, config.data);
    if (!status) status = mega_job_save(h->session.job, part);
    if (!status) status = mega_folder_sync(part);
    mega_text_done(&config);
    return status;
}

mega_status mega_heads_save(
    const struct mega_heads_session *h, const mega_model *m, const char *folder)
{
    struct mega_text part = { 0 };
    mega_text_add(&part, "%s.part", folder);
    if (part.failed) return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", folder);
    mega_status status = save_part(h, m, part.data);
    if (!status && rename(part.data, folder)) status = mega_fail_errno("rename", part.data);
    if (status) mega_folder_remove(part.data);
    mega_text_done(&part);
    return status;
}

mega_status mega_heads_write(const char *path, const struct mega_text *text)
{
    if (text->failed) return mega_fail(MEGA_NO_MEMORY, "no memory for what is to be written");
    if (strcmp(path, "-") != 0) return mega_file_write(path, text->data, text->size);
    fwrite(text->data, 1, text->size, stdout);
    return MEGA_OK;
}
