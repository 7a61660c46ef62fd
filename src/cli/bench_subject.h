/* What mega bench models measures: a model of some sizes at some length, in training, inference
 * or generation. Its settings carry the names of the flags of mega bench step and of the peers.
 */
#ifndef MEGA_CLI_BENCH_SUBJECT_H
#define MEGA_CLI_BENCH_SUBJECT_H

#include <stdbool.h>

#include "base/option.h"
#include "cli/words.h"
#include "layer/norm.h"
#include "model/decoder.h"
#include "op/contracts.h"

enum { MEGA_SUBJECT_TRAIN, MEGA_SUBJECT_INFER, MEGA_SUBJECT_GENERATE }; /* mode */
enum { MEGA_SUBJECT_MEGA, MEGA_SUBJECT_ATTENTION };                     /* mixer */

struct mega_subject {
    char name[64];
    int mode, mixer, norm, attention;
    int decoder; /* 0: a classifier; else 1 + the place in mega_decoders */
    int64_t length, batch, chunk, width, values, keys, ffn, ema, heads, layers, classes, vocab,
        prenorm;
    int64_t kv_heads, groups, swiglu, tokens; /* of language models; tokens: of a step that
                                                 generates */
    double dropout;
};

#define MEGA_SUBJECT_INT(at, member, fallback, unit, help)                                     \
    {                                                                                          \
#member, MEGA_OPTION_INT, (at) + offsetof(struct mega_subject, member), fallback, 0,   \
            1 << 30, NULL, unit, help, 0                                                       \
    }
#define MEGA_SUBJECT_CHOICE(at, member, fallback, choices, help)                               \
    {                                                                                          \
#member, MEGA_OPTION_CHOICE, (at) + offsetof(struct mega_subject, member), fallback,   \
            0, 0, choices, NULL, help, 0                                                       \
    }

/* The settings that all models of a table have in common: lines of an option table for a
 * struct mega_subject at offset `at`. */
#define MEGA_SUBJECT_OPTIONS(at)                                                               \
    MEGA_SUBJECT_INT(at, batch, "1", "B", "rows"),                                             \
        MEGA_SUBJECT_INT(at, chunk, "128", "C", "attention window of mega-chunk"),             \
        MEGA_SUBJECT_INT(at, width, "128", "D", "model width"),                                \
        MEGA_SUBJECT_INT(                                                                      \
            at, values, "256", "E", "value width of Mega; the head's hidden layer"),           \
        MEGA_SUBJECT_INT(at, keys, "64", "Z", "query and key width of Mega"),                  \
        MEGA_SUBJECT_INT(at, ffn, "256", "F", "feed-forward width"),                           \
        MEGA_SUBJECT_INT(at, ema, "16", "N", "EMA states a channel of Mega"),                  \
        MEGA_SUBJECT_INT(at, heads, "4", "H", "heads of the Transformer"),                     \
        MEGA_SUBJECT_INT(at, layers, "4", "N", "blocks"),                                      \
        MEGA_SUBJECT_INT(at, classes, "2", "N", "classes"),                                    \
        MEGA_SUBJECT_INT(at, vocab, "257", "V", "ids"),                                        \
        MEGA_SUBJECT_CHOICE(at, norm, "scalenorm", MEGA_NORM_CHOICES, "kind of norm"),         \
        MEGA_SUBJECT_INT(at, prenorm, "0", "0|1", "norm before each block instead of after"),  \
        MEGA_SUBJECT_CHOICE(                                                                   \
            at, attention, "softmax", MEGA_ATTENTION_CHOICES, "attention function of Mega"),   \
    {                                                                                          \
        "dropout", MEGA_OPTION_REAL, (at) + offsetof(struct mega_subject, dropout), "0.1", 0,  \
            0.99, NULL, "P", "dropout in training", 0                                          \
    }

/* The word for its architecture: mega, mega-chunk or transformer; of a language model its
 * decoder. */
const char *mega_subject_model(const struct mega_subject *s);
const char *mega_subject_mode(const struct mega_subject *s);    /* train, infer, generate */
const char *mega_subject_decoder(const struct mega_subject *s); /* its name; NULL: none */

/* What the others are compared with: attention, and nothing else along the sequence. */
bool mega_subject_is_transformer(const struct mega_subject *s);

/* Same mode, length and kind of task: measured together, compared with each other. */
bool mega_subject_same_group(const struct mega_subject *a, const struct mega_subject *b);

/* The same model in the same mode, but for its name and length. */
bool mega_subject_alike(const struct mega_subject *a, const struct mega_subject *b);

/* FLOPs that the formulas ask for, a token; training counts three forward passes, and nothing
 * that is computed again. */
double mega_subject_flops(const struct mega_subject *s);

/* Adds its flags, "--length" "4096" ..., for mega bench step or for a peer. */
void mega_subject_flags(const struct mega_subject *s, bool ours, struct mega_words *to);

struct mega_subjects {
    struct mega_subject *item;
    int n;
};
void mega_subjects_done(struct mega_subjects *list);

/* Every model at every length in every mode, by mode and length; each argument is a list with
 * commas, `common` holds the other settings. */
mega_status mega_subjects_cross(struct mega_subjects *list, const struct mega_subject *common,
    const char *models, const char *lengths, const char *modes);

/* The problems of a file, `name key=value ...` a line; with `n` names only these. */
mega_status mega_subjects_load(
    struct mega_subjects *list, const char *path, const char *const *name, int n);

#endif
