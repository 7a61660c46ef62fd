/* A reference case on its way through the library: what it asks, and what came out.
 *
 * A case is passed only if every cfg key was read and every out.* and grad.* tensor compared:
 * what an adapter does not know makes the case unsupported, never silently fine. */
#ifndef MEGA_TEST_CASE_H
#define MEGA_TEST_CASE_H

#include <stdbool.h>

#include "base/option.h"
#include "format/safetensors.h"
#include "golden/golden.h"
#include "graph/run.h"

struct golden_case {
    const struct mega_safetensors *file;
    mega_context *context;
    struct golden_result *result;
    bool *compared; /* [file->n] */
    bool *read;     /* [file->n_meta] */
    double tol_out, tol_grad, grad_floor;
    bool verbose;
    int status; /* GOLDEN_... so far */
};

/* Each adapter takes the modules that it knows. */
typedef void golden_adapter(struct golden_case *c);

/* ---- what the case says ---- */

const char *golden_meta(const struct golden_case *c, const char *key); /* "" if absent */
const char *golden_cfg(
    struct golden_case *c, const char *key); /* marks it read; "" if absent */
bool golden_has_cfg(const struct golden_case *c, const char *key);
int64_t golden_cfg_int(
    struct golden_case *c, const char *key, int64_t fallback); /* none: the fallback */
double golden_cfg_real(struct golden_case *c, const char *key, double fallback);
bool golden_cfg_bool(struct golden_case *c, const char *key, bool fallback);
int golden_cfg_choice(struct golden_case *c, const char *key, const char *official,
    int fallback); /* "a|b|c"; unknown: unsupported */
void golden_cfg_expect(
    struct golden_case *c, const char *key, const char *value); /* another value: unsupported */

const struct mega_st_tensor *golden_find(const struct golden_case *c, const char *format, ...)
    MEGA_PRINTF(2, 3); /* or NULL */

/* An input as a new tensor of the run's memory (I64 becomes I32). `time_first`: [T, B, ...] in
 * the file, [B, T, ...] here. NULL if the file has none. */
mega_tensor *golden_input(
    struct golden_case *c, mega_run *r, const char *name, bool time_first);

/* ---- what came out ---- */

/* Compares with a tensor of the file; the third argument as above. Does nothing if the file has
 * none. */
void golden_compare(
    struct golden_case *c, const char *name, const mega_tensor *got, bool time_first);
void golden_compare_numbers(
    struct golden_case *c, const char *name, const double *got, int64_t n);

/* Fills a store's parameters and buffers from "param.<prefix><name>"; a missing one makes the
 * case fail. */
void golden_load(struct golden_case *c, struct mega_store *s, const char *prefix);
/* Compares all gradients "grad.param.<prefix><name>". */
void golden_compare_gradients(
    struct golden_case *c, const struct mega_store *s, const char *prefix);

void golden_unsupported(struct golden_case *c, const char *format, ...) MEGA_PRINTF(2, 3);
void golden_fail(struct golden_case *c, const char *format, ...) MEGA_PRINTF(2, 3);
bool golden_check(
    struct golden_case *c, mega_status status); /* a failed status fails the case; true: fine */

/* A declaration's end: lays the store out for training and loads it. */
bool golden_ready(struct golden_case *c, mega_build *b, const char *prefix);

/* ---- adapters ---- */

golden_adapter golden_norm, golden_number_embedding, golden_simple_bias, golden_rotary_bias,
    golden_ema, golden_ema_step, golden_attention, golden_feed_forward, golden_layer,
    golden_lra_model, golden_speech_model, golden_train;

#endif
