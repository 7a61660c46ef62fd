/* A whole classifier built from a case's configuration. */
#ifndef MEGA_TEST_MODEL_CASE_H
#define MEGA_TEST_MODEL_CASE_H

#include "golden/case.h"
#include "model/model.h"

struct golden_model {
    struct golden_case *c;
    mega_model *model;
    mega_run *run;
};

struct mega_model_config golden_model_config(
    struct golden_case *c, bool numbers, int64_t towers);
bool golden_model_open(
    struct golden_case *c, struct golden_model *g, const struct mega_model_config *config);
void golden_model_close(struct golden_model *g); /* also after an open that failed */

/* The rows of `text` [B, T]: places by lengths and, for tokens, by what is not the pad symbol.
 * `len` is borrowed. */
void golden_model_rows(struct golden_model *g, const mega_tensor *text, const int32_t *len,
    struct mega_rows *rows);

#endif
