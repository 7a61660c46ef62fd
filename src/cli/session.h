/* A model with its task, opened to evaluate or predict. */
#ifndef MEGA_CLI_SESSION_H
#define MEGA_CLI_SESSION_H

#include "cli/open.h"
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
    struct mega_session *s, const char *path, const struct mega_open *o);

/* Reads the rows of a file ("-": standard input) into the test split; without `labels` every
 * class is -1. */
mega_status mega_session_read(struct mega_session *s, const char *file, bool labels);

void mega_session_close(struct mega_session *s);

#endif
