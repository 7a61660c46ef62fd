/* Options that commands over language models share: which model, read how. */
#ifndef MEGA_CLI_LANGUAGE_H
#define MEGA_CLI_LANGUAGE_H

#include "base/option.h"
#include "graph/precision.h"
#include "megac/generate.h"

struct mega_language_choice {
    const char *tokenizer;
    int begin, precision; /* enum mega_begin, enum mega_precision */
    int64_t truncate;
};

/* The lines of an option table for a struct mega_language_choice at offset `at`. */
#define MEGA_LANGUAGE_OPTIONS(at)                                                              \
    { "tokenizer", MEGA_OPTION_TEXT, (at) + offsetof(struct mega_language_choice, tokenizer),  \
        "", 0, 0, NULL, "PATH",                                                                \
        "another tokenizer than the model's own; bytes: ids are bytes", 0 },                   \
        { "begin", MEGA_OPTION_CHOICE, (at) + offsetof(struct mega_language_choice, begin),    \
            "auto", 0, 0, "auto|none|bos|eos", NULL,                                           \
            "the token before a text; auto: as the tokenizer frames texts, else as documents " \
            "began in training, else bos for a Llama",                                         \
            0 },                                                                               \
        { "norm-truncate-chunks", MEGA_OPTION_INT,                                             \
            (at) + offsetof(struct mega_language_choice, truncate), "0", 0, 1 << 20, NULL,     \
            "N",                                                                               \
            "Megalodon: norms forget what a text that is read in holds more than N chunks "    \
            "back, as the authors' program does with 8; 0: nothing",                           \
            0 },                                                                               \
    {                                                                                          \
        "precision", MEGA_OPTION_CHOICE,                                                       \
            (at) + offsetof(struct mega_language_choice, precision), "float32", 0, 0,          \
            MEGA_PRECISION_CHOICES, NULL, "of activations", 0                                  \
    }

/* The folder of the best checkpoint of a run, else the path itself, into `out`. */
mega_status mega_language_path(const char *path, char out[1280]);

/* The generator of a run, model folder or file. */
mega_status mega_language_generator(mega_generator **out, mega_context *c, const char *path,
    const struct mega_language_choice *choice);

#endif
