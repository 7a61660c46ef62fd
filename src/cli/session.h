/* A model with its task, opened to evaluate or predict. */
#ifndef MEGA_CLI_SESSION_H
#define MEGA_CLI_SESSION_H

#include "cli/open.h"
#include "graph/precision.h"
#include "task/classify.h"

struct mega_session {
    mega_context *context;
    mega_model *model;
    mega_run *run;
    struct mega_classify *task;
    struct mega_document recipe; /* of the run folder, if it is one */
};

/* `path`: a model folder, or a run folder (its best checkpoint; its recipe then says where the
 * data are). */
mega_status mega_session_open(
    struct mega_session *s, const char *path, const struct mega_open *o, int precision);

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
