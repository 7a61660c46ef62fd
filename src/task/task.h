/* Tasks: files into rows of ids. What the tasks of today share, from batches to the loss, is
 * classify.c.
 *
 * A task is one file and one line in tasks.def. */
#ifndef MEGA_TASK_TASK_H
#define MEGA_TASK_TASK_H

#include "base/log.h"
#include "data/corpus.h"
#include "data/examples.h"
#include "data/masking.h"
#include "model/model.h"

/* What language models need of the section. */
struct mega_language_options {
    const char *tokenizer; /* a file, a folder, or "bytes" */
    struct mega_corpus_options corpus;
    struct mega_masking_options masking; /* of masked ones */
};

/* The recipe's section `task`: a name, and what that task needs. */
struct mega_task_options {
    int name; /* place in mega_tasks */
    /* classification */
    const char *train, *valid, *test; /* files, plain or gzip */
    int64_t max_length;               /* longer texts are cut there; 0: the model's longest */
    double hold_out;                  /* share of train that validates where valid is empty */
    const char *label_column, *text_column;
    int header; /* MEGA_HEADER_... */
    /* language modelling */
    struct mega_language_options language;
};
extern const struct mega_option mega_task_options[];     /* the name and classification's */
extern const struct mega_option mega_language_options[]; /* the name and language modelling's */

/* Reads a section `task` (NULL: refused, since a task has a name), prints it back as YAML
 * lines, adds it to a JSON object. */
mega_status mega_task_options_read(struct mega_task_options *o, const struct mega_document *d,
    const struct mega_node *section);
/* The task that trains such language models, with all defaults. */
void mega_task_options_language(struct mega_task_options *o, enum mega_architecture a);

void mega_task_options_print(const struct mega_task_options *o, struct mega_text *to);
void mega_task_options_json(
    const struct mega_task_options *o, int indent, struct mega_text *to);

struct mega_job;

struct mega_task {
    const char *name;
    enum mega_architecture architecture; /* of the models that it trains */
    mega_status (*open)(struct mega_job **out, const struct mega_task_options *options,
        struct mega_model_config *model, const struct mega_log *log); /* see mega_job_open */
    /* classification alone: */
    struct mega_inputs inputs;
    const struct mega_texts *labels; /* the classes, where the task itself knows them; NULL:
                                        those of the training data */
    mega_status (*read)(struct mega_examples *e, const char *name, const void *bytes, size_t n,
        const struct mega_examples_layout *layout);
    /* one text without label, as a row of its own */
    mega_status (*read_one)(
        struct mega_examples *e, const char *text, size_t n, int64_t max_length);
};
extern const struct mega_task *const mega_tasks[]; /* ended by NULL */

enum mega_split { MEGA_SPLIT_TRAIN, MEGA_SPLIT_VALID, MEGA_SPLIT_TEST, MEGA_SPLITS };
extern const char *const mega_split_names[]; /* "train", "valid", "test" */

#endif
