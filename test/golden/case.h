/* A reference case on its way through the library: what it asks, and what came out.
 *
 * A case is passed only if every cfg key was read, every input and parameter used and every
 * out.*, grad.* and final.* tensor compared: what an adapter does not know makes the case
 * unsupported, never silently fine. */
#ifndef MEGA_TEST_CASE_H
#define MEGA_TEST_CASE_H

#include <stdbool.h>

#include "base/option.h"
#include "format/safetensors.h"
#include "graph/run.h"
#include "layer/norm.h"

enum golden_verdict { GOLDEN_PASSED, GOLDEN_FAILED, GOLDEN_UNSUPPORTED };

struct golden_case {
    const struct mega_safetensors *file;
    mega_context *context;
    mega_dtype dtype;      /* of activations */
    bool *used, *compared; /* [file->n] */
    bool *read;            /* [file->n_meta] */
    double tol_out, tol_grad, grad_floor;
    const char *exec; /* how attention is computed, where it can be chosen; NULL: as it likes */
    bool refused; /* it cannot be computed so, and the library said so: nothing is compared */
    bool verbose;
    enum golden_verdict verdict; /* so far; tensors out of tolerance aside */
    double worst;                /* the largest error so far, in tolerances: above 1 fails */
    char reason[256];            /* of a failure or refusal */
    char worst_reason[256];
};

/* Each adapter takes the modules that it knows. */
typedef void golden_adapter(struct golden_case *c);

/* ---- what the case says ---- */

const char *golden_meta(const struct golden_case *c, const char *key); /* "" if absent */

/* The value of cfg.<key>, "" if absent; marks it as read. A key may be "one|other": official
 * classes have different words for the same thing. "none" and absent are the fallback; what
 * cannot be read is unsupported. */
const char *golden_cfg(struct golden_case *c, const char *key);
int64_t golden_cfg_int(struct golden_case *c, const char *key, int64_t fallback);
double golden_cfg_real(struct golden_case *c, const char *key, double fallback);
bool golden_cfg_bool(struct golden_case *c, const char *key, bool fallback);
int golden_cfg_choice(
    struct golden_case *c, const char *key, const char *official, int fallback); /* "a|b|c" */
int golden_cfg_act(struct golden_case *c, const char *key, int fallback); /* enum mega_act */
int golden_cfg_norm(struct golden_case *c); /* enum mega_norm_type */
/* Another value, if there is one, is unsupported; numbers are compared as numbers. */
void golden_cfg_expect(struct golden_case *c, const char *key, const char *value);
/* Before a run: a cfg key that nobody has read makes the case unsupported. */
void golden_cfg_complete(struct golden_case *c);
/* Cases have no dropout. */
void golden_cfg_no_dropout(struct golden_case *c);

/* ---- its tensors ---- */

const struct mega_st_tensor *golden_find(struct golden_case *c, const char *format, ...)
    MEGA_PRINTF(2, 3); /* marks it as used; NULL if absent */

/* A run in the case's precision. */
mega_status golden_run_new(struct golden_case *c, mega_run **out);

/* An input as a new tensor of the run's memory (I64 becomes I32; activations have the run's
 * type). `time_first`: [T, B, ...] in
 * the file, [B, T, ...] here. NULL if the file has none. */
mega_tensor *golden_input(
    struct golden_case *c, mega_run *r, const char *name, bool time_first);

/* Fills a store's parameters and buffers from "param.<name>"; a missing one fails the case. */
void golden_load(struct golden_case *c, struct mega_store *s);

/* A declaration's end: lays the store out for training and loads it. False: the case is over.
 */
bool golden_ready(struct golden_case *c, mega_build *b);

/* ---- what came out ---- */

/* Element i of a tensor of the file. */
double golden_value(const struct mega_st_tensor *t, int64_t i);

/* Compare with a tensor of the file, if it has it. */
void golden_compare(
    struct golden_case *c, const char *name, const mega_tensor *got, bool time_first);
void golden_compare_numbers(
    struct golden_case *c, const char *name, const double *got, int64_t n);
void golden_compare_gradients(struct golden_case *c, const struct mega_store *s);
/* running statistics: "out.<full name>", or "out.running_mean" where there is one norm */
void golden_compare_running(struct golden_case *c, const struct mega_store *s);

/* Compares y with out.y, seeds its gradient with in.cotangent and walks back. */
void golden_backward(struct golden_case *c, mega_run *r, mega_tensor *y, bool time_first);

/* The end of every comparison: `error` under a tolerance. `where` may be "". */
void golden_judge(struct golden_case *c, const struct mega_st_tensor *t, double error,
    double tolerance, const char *where);

void golden_unsupported(struct golden_case *c, const char *format, ...) MEGA_PRINTF(2, 3);
void golden_fail(struct golden_case *c, const char *format, ...) MEGA_PRINTF(2, 3);
bool golden_check(
    struct golden_case *c, mega_status status); /* a failed status fails the case; true: fine */

/* ---- adapters ---- */

golden_adapter golden_norm, golden_number_embedding, golden_simple_bias, golden_rotary_bias,
    golden_ema, golden_ema_step, golden_attention, golden_feed_forward, golden_layer,
    golden_lra_model, golden_speech_model, golden_train, golden_schedule, golden_adam,
    golden_transformer, golden_transformer_cache, golden_transformer_segments,
    golden_multi_head, golden_adaptive_input, golden_adaptive_softmax, golden_language_model,
    golden_timestep_norm, golden_timestep_norm_port, golden_cema, golden_cema_port, golden_rope,
    golden_rms_norm, golden_layer_norm, golden_megalodon_feed_forward,
    golden_megalodon_attention, golden_megalodon_block_port, golden_megalodon,
    golden_megalodon_port, golden_heads;

#endif
