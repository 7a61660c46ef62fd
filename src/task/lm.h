/* Language modelling: which token comes next, or which are hidden (masked_lm.h). Text becomes
 * tokens by a tokenizer, tokens become rows in one of the ways of data/corpus.h. */
#ifndef MEGA_TASK_LM_H
#define MEGA_TASK_LM_H

#include "megac/tokenizer.h"
#include "task/job.h"

/* The job of a recipe (mega_job_open). */
mega_status mega_language_open(struct mega_job **out, const struct mega_task_options *options,
    struct mega_model_config *model, const struct mega_log *log);

/* A job as a model folder describes it, to evaluate: its tokenizer lies in the folder. `files`
 * says where the texts are and how they are read (task.language); NULL: as config.json has it,
 * without files. */
mega_status mega_language_open_model(struct mega_job **out, const mega_model *m,
    const char *folder, const struct mega_task_options *files, const struct mega_log *log);

/* The tokenizer of a model folder: its files, or "bytes" where it has none and the vocabulary
 * fits. Yours to close. */
mega_status mega_language_tokenizer(
    mega_tokenizer **out, const mega_model *m, const char *folder);

/* What a split that was loaded holds. */
struct mega_language_split {
    int64_t tokens, documents;
    int64_t bytes; /* of text; 0: not known */
};
struct mega_language_split mega_language_split(const struct mega_job *j, enum mega_split split);

/* What stands before the first token of a text. */
enum mega_text_start mega_language_start(const struct mega_job *j);

#endif
