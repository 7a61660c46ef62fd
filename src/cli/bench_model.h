/* The model that mega bench step times: its sizes as flags, and the model that they describe.
 */
#ifndef MEGA_CLI_BENCH_MODEL_H
#define MEGA_CLI_BENCH_MODEL_H

#include <stddef.h>

#include "model/model.h"

struct mega_bench_model {
    int decoder; /* 0: a classifier; else 1 + the place in mega_decoders */
    int mixer, norm, attention, recompute;
    int64_t heads, kv_heads, length, batch, chunk, width, values, keys, ffn, ema, groups,
        layers, classes, vocab, prenorm, swiglu;
    double dropout;
};

#define MEGA_BENCH_DECODER_CHOICES "none|" MEGA_DECODER_CHOICES

#define MEGA_BENCH_MODEL_INT(at, name, member, fallback, unit, help)                           \
    {                                                                                          \
        name, MEGA_OPTION_INT, (at) + offsetof(struct mega_bench_model, member), fallback, 0,  \
            1 << 30, NULL, unit, help, 0                                                       \
    }
#define MEGA_BENCH_MODEL_CHOICE(at, name, member, fallback, choices, help)                     \
    {                                                                                          \
        name, MEGA_OPTION_CHOICE, (at) + offsetof(struct mega_bench_model, member), fallback,  \
            0, 0, choices, NULL, help, 0                                                       \
    }

/* Lines of an option table for a struct mega_bench_model at offset `at`. */
#define MEGA_BENCH_MODEL_OPTIONS(at)                                                           \
    MEGA_BENCH_MODEL_CHOICE(at, "decoder", decoder, "none", MEGA_BENCH_DECODER_CHOICES,        \
        "a language model of this kind; none: a classifier"),                                  \
        MEGA_BENCH_MODEL_CHOICE(at, "mixer", mixer, "mega", MEGA_MIXER_CHOICES,                \
            "of a classifier: Mega, or the Transformer's attention"),                          \
        MEGA_BENCH_MODEL_INT(at, "heads", heads, "4", "H",                                     \
            "heads of attention or Megalodon; of queries, with kv-heads"),                     \
        MEGA_BENCH_MODEL_INT(at, "kv-heads", kv_heads, "0", "G",                               \
            "attention: heads of keys and values; 0: as many"),                                \
        MEGA_BENCH_MODEL_INT(at, "length", length, "1024", "T", "places of a row"),            \
        MEGA_BENCH_MODEL_INT(at, "batch", batch, "2", "B", "rows"),                            \
        MEGA_BENCH_MODEL_INT(                                                                  \
            at, "chunk", chunk, "0", "C", "attention window; 0: full attention"),              \
        MEGA_BENCH_MODEL_INT(at, "width", width, "128", "D", "model width"),                   \
        MEGA_BENCH_MODEL_INT(                                                                  \
            at, "values", values, "256", "E", "value width; also of the head's hidden layer"), \
        MEGA_BENCH_MODEL_INT(at, "keys", keys, "64", "Z", "query and key width"),              \
        MEGA_BENCH_MODEL_INT(at, "ffn", ffn, "256", "F", "feed-forward width"),                \
        MEGA_BENCH_MODEL_INT(at, "ema", ema, "16", "N", "EMA states a channel"),               \
        MEGA_BENCH_MODEL_INT(                                                                  \
            at, "groups", groups, "32", "G", "Megalodon: groups of the timestep norm"),        \
        MEGA_BENCH_MODEL_INT(                                                                  \
            at, "swiglu", swiglu, "1", "0|1", "Megalodon: a gated feed-forward"),              \
        MEGA_BENCH_MODEL_INT(at, "layers", layers, "4", "N", "blocks"),                        \
        MEGA_BENCH_MODEL_INT(at, "classes", classes, "2", "N", "classes"),                     \
        MEGA_BENCH_MODEL_INT(at, "vocab", vocab, "257", "V", "ids"),                           \
        MEGA_BENCH_MODEL_CHOICE(                                                               \
            at, "norm", norm, "scalenorm", MEGA_NORM_CHOICES, "kind of norm"),                 \
        MEGA_BENCH_MODEL_INT(                                                                  \
            at, "prenorm", prenorm, "0", "0|1", "norm before each block instead of after"),    \
        MEGA_BENCH_MODEL_CHOICE(at, "attention", attention, "softmax", MEGA_ATTENTION_CHOICES, \
            "attention function"),                                                             \
        { "dropout", MEGA_OPTION_REAL, (at) + offsetof(struct mega_bench_model, dropout), "0", \
            0, 0.99, NULL, "P", "dropout", 0 },                                                \
        MEGA_BENCH_MODEL_CHOICE(at, "recompute", recompute, "none", "none|cheap|block",        \
            "what the backward pass makes again rather than keep")

/* Its configuration. `longest`: places that a row can come to. Flags that the model has no use
 * for are not heeded. */
mega_status mega_bench_model_configure(
    const struct mega_bench_model *o, int64_t longest, struct mega_model_config *c);

#endif
