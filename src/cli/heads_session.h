/* What the commands mega heads ... share: a model with heads, and data to look at them with. */
#ifndef MEGA_CLI_HEADS_SESSION_H
#define MEGA_CLI_HEADS_SESSION_H

#include "cli/session.h"
#include "study/head_pruning.h"

struct mega_heads_data_options {
    int split;
    int64_t texts, length;
    struct mega_open open;
};

#define MEGA_HEADS_DATA_FIELD(at, member)                                                      \
    ((at) + offsetof(struct mega_heads_data_options, member))
#define MEGA_HEADS_DATA_OPTIONS(at)                                                            \
    { "split", MEGA_OPTION_CHOICE, MEGA_HEADS_DATA_FIELD(at, split), "valid", 0, 0,            \
        "train|valid|test", NULL, "which data of the run's recipe, where no FILE is given",    \
        0 },                                                                                   \
        { "texts", MEGA_OPTION_INT, MEGA_HEADS_DATA_FIELD(at, texts), "0", 0, 1 << 30, NULL,   \
            "N", "look at the first N rows alone; 0: all", 'n' },                              \
        { "length", MEGA_OPTION_INT, MEGA_HEADS_DATA_FIELD(at, length), "0", 0, 1 << 30, NULL, \
            "N", "tokens of a row of a language model; 0: as the recipe says", 0 },            \
        MEGA_OPEN_OPTIONS(MEGA_HEADS_DATA_FIELD(at, open))

struct mega_heads_session {
    struct mega_session session;
    struct mega_study_data data;
    const char *file;          /* that is read in place of the recipe's data; NULL: none */
    mega_tokenizer *tokenizer; /* of a language model; else NULL */
    int32_t end;               /* its end token, which statistics leave out; -1 */
};

/* Opens a model; `file` ("-": standard input), or NULL: the recipe's split. */
mega_status mega_heads_open(struct mega_heads_session *h, const char *path, const char *file,
    const struct mega_heads_data_options *o);

/* The same of Mega and Megalodon, too, whose attention is not a Transformer's. */
mega_status mega_heads_open_any(struct mega_heads_session *h, const char *path,
    const char *file, const struct mega_heads_data_options *o);

/* Reads the data, for what needs them. */
mega_status mega_heads_load(struct mega_heads_session *h, const char *file);
void mega_heads_close(struct mega_heads_session *h);

/* Writes a model that came of this one as a folder, whole or not at all. */
mega_status mega_heads_save(
    const struct mega_heads_session *h, const mega_model *m, const char *folder);

/* To a file, or ("-") to standard output. */
mega_status mega_heads_write(const char *path, const struct mega_text *text);

#endif
