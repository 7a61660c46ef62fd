/* A model with its task, opened to evaluate or predict. Of a language model the texts are not
 * opened yet: `files` says what they are, and may be changed before mega_session_open_texts. */
#ifndef MEGA_CLI_SESSION_H
#define MEGA_CLI_SESSION_H

#include "cli/open.h"
#include "graph/precision.h"
#include "task/classify.h"
#include "task/lm.h"

struct mega_session {
    mega_context *context;
    mega_model *model;
    mega_run *run;
    struct mega_job *job;
    struct mega_classify *task;     /* the job itself, if it classifies; else NULL */
    struct mega_document recipe;    /* of the run folder, if it is one */
    struct mega_task_options files; /* what it says of the task, or config.json does */
    char folder[1280];              /* of the model */
};

/* `path`: a model folder, or a run folder (its best checkpoint; its recipe then says where the
 * data are). */
mega_status mega_session_open(
    struct mega_session *s, const char *path, const struct mega_open *o, int precision);

/* Opens a language model's texts as `files` says. */
mega_status mega_session_open_texts(struct mega_session *s);

/* Refuses a language model for a command that needs classes. */
mega_status mega_session_need_classes(const struct mega_session *s, const char *command);

/* The choices of `precision`: the recipe's, float32 where there is none; or enum
 * mega_precision, one further on. */
#define MEGA_SESSION_PRECISIONS "recipe|" MEGA_PRECISION_CHOICES
enum { MEGA_SESSION_RECIPE, MEGA_SESSION_FLOAT32 };
#define MEGA_SESSION_PRECISION_OPTION(at)                                                      \
    {                                                                                          \
        "precision", MEGA_OPTION_CHOICE, at, "recipe", 0, 0, MEGA_SESSION_PRECISIONS, NULL,    \
            "of activations; recipe: as the run was trained, float32 for a model folder", 0    \
    }

/* Reads the rows of a file ("-": standard input) into the test split; without `labels` every
 * class is -1. */
mega_status mega_session_read(struct mega_session *s, const char *file, bool labels);

void mega_session_close(struct mega_session *s);

#endif
