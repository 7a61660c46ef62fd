#include "task/classify.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "format/option_json.h"

struct mega_classify {
    struct mega_job job;
    const struct mega_task *task;
    struct mega_task_options options;
    struct mega_texts labels, own_labels; /* own: to be freed */
    int64_t max_length, multiple, longest;
    struct mega_examples split[MEGA_SPLITS];
    bool loaded[MEGA_SPLITS];
};

static void close_job(struct mega_job *job)
{
    struct mega_classify *c = (struct mega_classify *)job;
    for (int s = 0; s < MEGA_SPLITS; s++) mega_examples_done(&c->split[s]);
    mega_labels_done(&c->own_labels);
    free(c);
}

/* ---- reading ---- */

static mega_status read_bytes(struct mega_classify *c, const char *name, const void *bytes,
    size_t n, bool labels, struct mega_examples *out)
{
    const struct mega_task_options *o = &c->options;
    struct mega_examples_layout layout = { o->label_column, o->text_column, o->header, labels,
        c->max_length };
    return c->task->read(out, name, bytes, n, &layout);
}

static mega_status read_file(
    struct mega_classify *c, const char *path, struct mega_examples *out)
{
    struct mega_text text = { 0 };
    mega_status status = mega_file_read_gz(path, &text);
    if (!status) status = read_bytes(c, path, text.data, text.size, true, out);
    mega_text_done(&text);
    if (!status && !out->n) {
        mega_examples_done(out);
        status = mega_fail(MEGA_BAD_FILE, "%s holds no rows", path);
    }
    return status;
}

static const char *file_of(const struct mega_classify *c, enum mega_split split)
{
    const char *const files[] = { c->options.train, c->options.valid, c->options.test };
    return files[split];
}

mega_status mega_classify_load(struct mega_classify *c, enum mega_split split)
{
    const char *file = file_of(c, split);
    if (c->loaded[split]) return MEGA_OK;
    if (!file || !*file)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "there are no %s rows: task.%s is empty; give it in the recipe, or name a FILE",
            mega_split_names[split], mega_split_names[split]);
    MEGA_TRY(read_file(c, file, &c->split[split]));
    c->loaded[split] = true;
    return mega_labels_apply(&c->split[split], file, &c->labels);
}

mega_status mega_classify_take(struct mega_classify *c, enum mega_split split, const char *name,
    const void *bytes, size_t n, bool labels)
{
    struct mega_examples e;
    MEGA_TRY(read_bytes(c, name, bytes, n, labels, &e));
    mega_status status = mega_labels_apply(&e, name, &c->labels);
    if (status) {
        mega_examples_done(&e);
        return status;
    }
    mega_examples_done(&c->split[split]);
    c->split[split] = e;
    c->loaded[split] = true;
    return MEGA_OK;
}

mega_status mega_classify_take_text(struct mega_classify *c, const char *text, size_t n)
{
    struct mega_examples *e = &c->split[MEGA_SPLIT_TEST];
    mega_examples_done(e);
    c->loaded[MEGA_SPLIT_TEST] = true;
    return c->task->read_one(e, text, n, c->max_length);
}

/* the training rows, and those that validate if no file does */
static mega_status read_training(struct mega_classify *c)
{
    struct mega_examples *train = &c->split[MEGA_SPLIT_TRAIN],
                         *valid = &c->split[MEGA_SPLIT_VALID];
    if (!c->options.train || !*c->options.train)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "task.train is empty: expected a file of training data");
    MEGA_TRY(read_file(c, c->options.train, train));
    c->loaded[MEGA_SPLIT_TRAIN] = true;
    if (c->task->labels)
        c->labels = *c->task->labels;
    else
        MEGA_TRY(mega_labels_collect(train, &c->own_labels));
    if (!c->task->labels) c->labels = c->own_labels;
    if (c->labels.n < 2)
        return mega_fail(MEGA_BAD_FILE, "%s: %d distinct labels, expected at least 2",
            c->options.train, c->labels.n);
    if (!*c->options.valid) {
        MEGA_TRY(mega_examples_split(train, c->options.hold_out, valid));
        c->loaded[MEGA_SPLIT_VALID] = true;
        if (!train->n || !valid->n)
            return mega_fail(MEGA_BAD_FILE,
                "%s: holding out %g of its rows leaves %lld to train on and %lld to validate; "
                "give task.valid or more rows",
                c->options.train, c->options.hold_out, (long long)train->n,
                (long long)valid->n);
        MEGA_TRY(mega_labels_apply(valid, c->options.train, &c->labels));
    }
    return mega_labels_apply(train, c->options.train, &c->labels);
}

/* ---- opening ---- */

static const struct mega_job_type classify_type;

static mega_status new_task(struct mega_classify **out, const struct mega_task_options *options,
    const struct mega_model_config *model)
{
    struct mega_classify *c = *out = calloc(1, sizeof *c);
    if (!c) return mega_fail(MEGA_NO_MEMORY, "no memory for a task");
    bool transformer = model->encoder_kind == MEGA_ENCODER_TRANSFORMER;
    int64_t longest = mega_model_config_longest(model);
    c->job.type = &classify_type;
    c->task = mega_tasks[options->name];
    c->options = *options;
    c->max_length = options->max_length ? options->max_length : longest;
    c->multiple = transformer ? 1 : mega_mixers[model->encoder.mixer]->multiple(model->mixer);
    /* a chunked text may be padded beyond the longest one */
    c->longest = c->multiple > 1 ? 0 : longest;
    if (c->max_length > longest)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "task.max_length is %lld, but model.longest is %lld", (long long)c->max_length,
            (long long)longest);
    return MEGA_OK;
}

mega_status mega_classify_open(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log)
{
    (void)log;
    struct mega_classify *c;
    mega_status status = new_task(&c, options, model);
    if (!status) status = read_training(c);
    if (status) {
        mega_job_close(mega_classify_job(c));
        return status;
    }
    model->labels = c->labels;
    model->task = (struct mega_classifier_task){ c->task->inputs, c->labels.n, 1 };
    *out = &c->job;
    return MEGA_OK;
}

struct mega_job *mega_classify_job(struct mega_classify *c)
{
    return c ? &c->job : NULL;
}

static mega_status print_config(
    const struct mega_job *job, const mega_model *m, struct mega_text *out)
{
    const struct mega_classify *c = (const struct mega_classify *)job;
    struct mega_text task = { 0 };
    struct mega_task_options o = c->options;
    /* which rows, not which files: paths belong to the run */
    o.train = o.valid = o.test = "";
    mega_text_add(&task, "{\n");
    mega_task_options_json(&o, 4, &task);
    mega_text_add(&task, "\n  }");
    mega_text_clear(out);
    if (!task.failed) mega_model_config_json(&m->config, task.data, out);
    bool failed = task.failed || out->failed;
    mega_text_done(&task);
    return failed ? mega_fail(MEGA_NO_MEMORY, "no memory for config.json") : MEGA_OK;
}

mega_status mega_classify_open_model(
    struct mega_classify **out, const mega_model *m, const struct mega_task_options *files)
{
    struct mega_task_options o;
    *out = NULL;
    const struct mega_node *section = mega_node_find(m->document.root, "task");
    if (!section)
        return mega_fail(MEGA_BAD_FILE,
            "%s: the key task is missing: what the texts are is not known", m->document.name);
    MEGA_TRY(mega_task_options_read(&o, &m->document, section));
    if (files) {
        o.train = files->train;
        o.valid = files->valid;
        o.test = files->test;
    }
    mega_status status = new_task(out, &o, &m->config);
    if (!status) (*out)->labels = m->config.labels;
    const struct mega_inputs *have = &m->config.task.inputs;
    if (!status && ((*out)->task->inputs.vocabulary != have->vocabulary ||
                       (*out)->task->inputs.pad != have->pad))
        status = mega_fail(MEGA_BAD_FILE, "%s: a vocabulary of %lld, but the task %s has %lld",
            m->document.name, (long long)have->vocabulary, (*out)->task->name,
            (long long)(*out)->task->inputs.vocabulary);
    if (status) {
        mega_job_close(mega_classify_job(*out));
        *out = NULL;
    }
    return status;
}

const struct mega_examples *mega_classify_examples(
    const struct mega_classify *c, enum mega_split split)
{
    return &c->split[split];
}

const struct mega_task_options *mega_classify_options(const struct mega_classify *c)
{
    return &c->options;
}

const struct mega_texts *mega_classify_labels(const struct mega_classify *c)
{
    return &c->labels;
}

int64_t mega_classify_multiple(const struct mega_classify *c)
{
    return c->multiple;
}

int64_t mega_classify_longest(const struct mega_classify *c)
{
    return c->longest;
}

int32_t mega_classify_pad(const struct mega_classify *c)
{
    return (int32_t)c->task->inputs.pad;
}

/* ---- batches ---- */

struct class_batches {
    struct mega_batches batches;
    const struct mega_examples *examples;
    struct mega_plan plan;
    int32_t pad;
};

static mega_status fill(struct mega_batches *b, int64_t k, struct mega_host *h)
{
    struct class_batches *c = (struct class_batches *)b;
    h->is_text = false;
    return mega_host_batch_fill(&h->rows, &c->plan, c->examples, k, c->pad);
}

static void count(const struct mega_batches *b, int64_t k, int64_t *rows, int64_t *tokens)
{
    const struct class_batches *c = (const struct class_batches *)b;
    const struct mega_plan *p = &c->plan;
    const int64_t *start = c->examples->start;
    *rows += p->first[k + 1] - p->first[k];
    for (int64_t i = p->first[k]; i < p->first[k + 1]; i++)
        *tokens += start[p->order[i] + 1] - start[p->order[i]];
}

static void largest(const struct mega_batches *b, int64_t *rows, int64_t *places)
{
    const struct class_batches *c = (const struct class_batches *)b;
    mega_plan_largest(&c->plan, c->examples, rows, places);
}

static void free_batches(struct mega_batches *b)
{
    mega_plan_done(&((struct class_batches *)b)->plan);
    free(b);
}

static const struct mega_batches_type batches_type = { fill, count, largest, free_batches };

static mega_status make_batches(struct mega_job *job, enum mega_split split,
    const struct mega_feed_batching *how, int64_t epoch, struct mega_batches **out)
{
    const struct mega_classify *task = (const struct mega_classify *)job;
    struct class_batches *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return mega_fail(MEGA_NO_MEMORY, "no memory for the order of the rows");
    struct mega_batching batching = { .seed = how->seed,
        .rows = how->rows,
        .tokens = how->tokens,
        .accumulate = how->accumulate,
        .bucket = how->bucket,
        .shuffle = how->shuffle,
        .multiple = task->multiple,
        .longest = task->longest };
    *c = (struct class_batches){ .batches = { .type = &batches_type },
        .examples = &task->split[split],
        .pad = mega_classify_pad(task) };
    mega_status status = mega_plan_make(&c->plan, &batching, c->examples, epoch);
    c->batches.n = c->plan.batches;
    if (status)
        free_batches(&c->batches);
    else
        *out = &c->batches;
    return status;
}

/* ---- as a job ---- */

static mega_status load(struct mega_job *job, enum mega_split split)
{
    return mega_classify_load((struct mega_classify *)job, split);
}

static struct mega_split_facts facts(const struct mega_job *job, enum mega_split split)
{
    const struct mega_examples *e = &((const struct mega_classify *)job)->split[split];
    return (struct mega_split_facts){ e->n, "rows", e->hash };
}

static const struct mega_job_type classify_type = {
    .close = close_job,
    .load = load,
    .facts = facts,
    .batches = make_batches,
    .config = print_config,
};

mega_tensor *mega_classify_logits(mega_run *r, const mega_model *m, const struct mega_batch *b)
{
    mega_tensor *text[2];
    const struct mega_rows *rows[2];
    mega_batch_enter(r, m, b, text, rows);
    return mega_classifier_run(r, &m->classifier, text, rows);
}
