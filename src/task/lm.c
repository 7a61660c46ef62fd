#include "task/lm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/masked_lm.h"
#include "task/tokens.h"

struct mega_language {
    struct mega_job job;
    struct mega_task_options options;
    int64_t longest; /* places that the model takes; 0: any number */
    bool masked;
    struct mega_masking masking; /* its key is a split's and an epoch's */
    mega_tokenizer *tokenizer;
    struct mega_text_encoder encoder;
    struct mega_corpora *corpora;
    struct mega_slice slice[MEGA_SPLITS];
    bool loaded[MEGA_SPLITS];
};

static const struct mega_corpus_options *corpus_options(const struct mega_language *l)
{
    return &l->options.language.corpus;
}

static void close_job(struct mega_job *job)
{
    struct mega_language *l = (struct mega_language *)job;
    mega_corpora_close(l->corpora);
    mega_tokenizer_close(l->tokenizer);
    free(l);
}

/* ---- opening ---- */

static const struct mega_job_type language_type;

static mega_status new_job(struct mega_language **out, const struct mega_task_options *options,
    const struct mega_model_config *model)
{
    struct mega_language *l = *out = calloc(1, sizeof *l);
    if (!l) return mega_fail(MEGA_NO_MEMORY, "no memory for a task");
    l->job.type = &language_type;
    l->options = *options;
    l->longest = mega_model_config_longest(model);
    l->masked = model->architecture == MEGA_MASKED_MODEL;
    return l->masked ? mega_masked_lm_check(&l->options.language, model) : MEGA_OK;
}

static mega_status open_corpora(struct mega_language *l, const struct mega_log *log)
{
    l->encoder = mega_text_encoder_of(l->tokenizer);
    struct mega_corpus_options *c = &l->options.language.corpus;
    if (c->evaluate == MEGA_EVALUATE_AUTO)
        c->evaluate = l->longest || l->masked ? MEGA_EVALUATE_ROWS : MEGA_EVALUATE_STREAM;
    return mega_corpora_open(&l->corpora, corpus_options(l), &l->encoder, log);
}

/* what hides tokens of a vocabulary of V, if any do */
static mega_status take_masks(struct mega_language *l, int64_t V)
{
    if (!l->masked) return MEGA_OK;
    return mega_masked_lm_masks(&l->masking, l->tokenizer, &l->options.language.masking, V);
}

static mega_status load(struct mega_job *job, enum mega_split split)
{
    struct mega_language *l = (struct mega_language *)job;
    if (l->loaded[split]) return MEGA_OK;
    MEGA_TRY(mega_corpora_slice(l->corpora, (int)split, &l->slice[split]));
    l->loaded[split] = true;
    return MEGA_OK;
}

mega_status mega_language_open(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log)
{
    struct mega_language *l;
    mega_status status = new_job(&l, options, model);
    if (!status) status = mega_tokenizer_open(&l->tokenizer, options->language.tokenizer);
    if (!status) status = open_corpora(l, log);
    if (!status) status = load(&l->job, MEGA_SPLIT_TRAIN);
    struct mega_vocabulary v = { 0 };
    if (!status) v = (struct mega_vocabulary){ l->encoder.vocabulary, l->encoder.pad };
    /* a tokenizer without a mask gets one behind its ids */
    if (!status && l->masked && mega_tokenizer_mask(l->tokenizer) < 0) v.size++;
    if (!status) status = take_masks(l, v.size);
    if (status) {
        mega_job_close(l ? &l->job : NULL);
        return status;
    }
    model->language.vocabulary = model->masked.vocabulary = v;
    *out = &l->job;
    return MEGA_OK;
}

mega_status mega_language_tokenizer(
    mega_tokenizer **out, const mega_model *m, const char *folder)
{
    const struct mega_node *task = mega_node_find(m->document.root, "task");
    const struct mega_node *name = task ? mega_node_find(task, "tokenizer") : NULL;
    bool bytes = name && name->text && !strcmp(name->text, "bytes");
    MEGA_TRY(mega_tokenizer_open(out, bytes ? "bytes" : folder));
    int64_t has = mega_tokenizer_size(*out), V = mega_model_config_vocabulary(&m->config).size;
    if (has <= V) return MEGA_OK;
    mega_tokenizer_close(*out);
    *out = NULL;
    return mega_fail(MEGA_BAD_FILE,
        "%s: the tokenizer has %lld ids, but the model's vocabulary is %lld: they do not "
        "belong "
        "together",
        folder, (long long)has, (long long)V);
}

mega_status mega_language_open_model(struct mega_job **out, const mega_model *m,
    const char *folder, const struct mega_task_options *files, const struct mega_log *log)
{
    struct mega_task_options read;
    struct mega_language *l;
    *out = NULL;
    if (!files) {
        MEGA_TRY(mega_task_options_read(
            &read, &m->document, mega_node_find(m->document.root, "task")));
        files = &read;
    }
    mega_status status = new_job(&l, files, &m->config);
    if (!status) status = mega_language_tokenizer(&l->tokenizer, m, folder);
    if (!status) status = take_masks(l, mega_model_config_vocabulary(&m->config).size);
    if (!status) status = open_corpora(l, log);
    if (status)
        mega_job_close(l ? &l->job : NULL);
    else
        *out = &l->job;
    return status;
}

/* ---- what it tells ---- */

struct mega_language_split mega_language_split(
    const struct mega_job *job, enum mega_split split)
{
    const struct mega_slice *s = &((const struct mega_language *)job)->slice[split];
    if (!s->corpus) return (struct mega_language_split){ 0 };
    int64_t last = s->to > s->from ? mega_corpus_document_at(s->corpus, s->to - 1) : -1;
    return (struct mega_language_split){ .tokens = s->to - s->from,
        .documents = last < 0 ? 0 : last - mega_corpus_document_at(s->corpus, s->from) + 1,
        .bytes = mega_corpus_bytes_before(s->corpus, s->to) -
                 mega_corpus_bytes_before(s->corpus, s->from) };
}

enum mega_text_start mega_language_start(const struct mega_job *job)
{
    const struct mega_language *l = (const struct mega_language *)job;
    return mega_text_start_of(corpus_options(l), &l->encoder);
}

static struct mega_split_facts facts(const struct mega_job *job, enum mega_split split)
{
    const struct mega_slice *s = &((const struct mega_language *)job)->slice[split];
    uint64_t hash = s->corpus ? mega_corpus_hash(s->corpus) : 0;
    return (struct mega_split_facts){ s->to - s->from, "tokens", hash };
}

static mega_status print_config(
    const struct mega_job *job, const mega_model *m, struct mega_text *out)
{
    struct mega_task_options o = ((const struct mega_language *)job)->options;
    struct mega_text task = { 0 };
    /* how texts are read, not which: paths belong to the run */
    struct mega_corpus_options *c = &o.language.corpus;
    c->train = c->valid = c->test = (struct mega_texts){ 0 };
    c->cache = "";
    if (strcmp(o.language.tokenizer, "bytes") != 0) o.language.tokenizer = "";
    mega_text_add(&task, "{\n");
    mega_task_options_json(&o, 4, &task);
    mega_text_add(&task, "\n  }");
    mega_text_clear(out);
    if (!task.failed) mega_model_config_json(&m->config, task.data, out);
    bool failed = task.failed || out->failed;
    mega_text_done(&task);
    return failed ? mega_fail(MEGA_NO_MEMORY, "no memory for config.json") : MEGA_OK;
}

static mega_status save(const struct mega_job *job, const char *folder)
{
    const struct mega_language *l = (const struct mega_language *)job;
    bool bytes = !strcmp(l->options.language.tokenizer, "bytes");
    return bytes ? MEGA_OK : mega_tokenizer_save(l->tokenizer, folder);
}

/* ---- batches ---- */

struct text_batches {
    struct mega_batches batches;
    struct mega_text_batches *text;
    bool masked;
    struct mega_masking masking;
};

static mega_status fill(struct mega_batches *b, int64_t k, struct mega_host *h)
{
    const struct text_batches *t = (struct text_batches *)b;
    h->is_text = true;
    MEGA_TRY(mega_text_batch_fill(&h->text, t->text, k));
    if (t->masked) mega_masking_apply(&t->masking, t->text, &h->text);
    return MEGA_OK;
}

static void count(const struct mega_batches *b, int64_t k, int64_t *rows, int64_t *tokens)
{
    const struct text_batches *t = (const struct text_batches *)b;
    if (t->masked) {
        mega_masking_units(&t->masking, t->text, k, rows, tokens);
        return;
    }
    struct mega_text_units u = mega_text_batches_units(t->text, k, 1);
    *rows += u.rows;
    *tokens += u.targets;
}

static void largest(const struct mega_batches *b, int64_t *rows, int64_t *places)
{
    const struct text_batches *t = (const struct text_batches *)b;
    mega_text_batches_largest(t->text, rows, places);
}

static void free_batches(struct mega_batches *b)
{
    mega_text_batches_close(((struct text_batches *)b)->text);
    free(b);
}

static const struct mega_batches_type batches_type = { fill, count, largest, free_batches };

static mega_status make_batches(struct mega_job *job, enum mega_split split,
    const struct mega_feed_batching *how, int64_t epoch, struct mega_batches **out)
{
    struct mega_language *l = (struct mega_language *)job;
    struct mega_batching batching = { .seed = how->seed,
        .rows = how->rows,
        .tokens = how->tokens,
        .accumulate = how->accumulate,
        .bucket = how->bucket,
        .shuffle = how->shuffle,
        .multiple = 1,
        .longest = l->longest };
    struct mega_text_batching text;
    MEGA_TRY((how->shuffle ? mega_text_batching_train : mega_text_batching_evaluate)(
        &text, corpus_options(l), &l->encoder, &batching));
    if (l->masked) MEGA_TRY(mega_masked_lm_rows(&text, &l->masking));
    char what[32];
    snprintf(what, sizeof what, "task.%s", mega_split_names[split]);
    struct text_batches *b = calloc(1, sizeof *b);
    *out = NULL;
    if (!b) return mega_fail(MEGA_NO_MEMORY, "no memory for the order of the rows");
    b->batches.type = &batches_type;
    b->masked = l->masked;
    b->masking = l->masking;
    b->masking.key = mega_masked_lm_key(how, epoch);
    mega_status status = mega_text_batches_open(&b->text, what, &l->slice[split], &text, epoch);
    if (status) {
        free(b);
        return status;
    }
    b->batches.n = mega_text_batches_count(b->text);
    *out = &b->batches;
    return MEGA_OK;
}

static const struct mega_job_type language_type = {
    .close = close_job,
    .load = load,
    .facts = facts,
    .batches = make_batches,
    .config = print_config,
    .save = save,
};

const struct mega_task mega_task_lm = {
    .name = "lm",
    .architecture = MEGA_LANGUAGE_MODEL,
    .open = mega_language_open,
};
