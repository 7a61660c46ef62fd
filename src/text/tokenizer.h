/* What the files of this room share: a tokenizer, its kinds, and the memory of one encoding.
 *
 * Encoding goes  text -> stretches between special tokens (special.h) -> the kind's encode ->
 * ids. Decoding is one loop over surfaces (decode.c); kinds say with data what is between them.
 */
#ifndef MEGA_TEXT_TOKENIZER_H
#define MEGA_TEXT_TOKENIZER_H

#include <pthread.h>

#include "base/file.h"
#include "megac/tokenizer.h"
#include "text/special.h"
#include "text/vocab.h"

/* A file of a tokenizer as it was read, kept to be saved again. */
struct mega_source {
    const char *name; /* under which a model folder holds it; borrowed, static */
    struct mega_text bytes;
};
enum { MEGA_SOURCES_MOST = 4 };

/* One encoding's memory. Workspaces wait in the tokenizer between encodings, so that caches
 * live on; no result depends on what they hold. */
struct mega_workspace {
    struct mega_workspace *next;
    mega_ids_fn *take;
    void *arg;
    mega_status status;           /* the first failure; later ids are dropped */
    const char *text;             /* the whole text, for places in messages */
    bool specials, frame, inside; /* of the options */
    void *own;                    /* the kind's; NULL at first */
    size_t n;
    int32_t block[2048]; /* ids on their way to take */
};

struct mega_tokenizer_kind {
    const char *name;
    const char *files; /* "a|b": names by which a folder has it, the first one used to save */
    const char *about; /* what the file is, for messages */
    /* are these the bytes of a file of this kind? `path` for its name */
    bool (*is)(const char *path, const char *bytes, size_t n);
    /* fills an empty tokenizer; t->source[0] holds the file at `path` */
    mega_status (*read)(mega_tokenizer *t, const char *path);
    /* emits the ids of a stretch between special tokens; `first`: it begins the text */
    mega_status (*encode)(const mega_tokenizer *t, struct mega_workspace *w, const char *text,
        size_t n, bool first);
    void (*done)(void *model); /* frees t->model; NULL: none */
    void (*forget)(void *own); /* frees a workspace's own; NULL: none */
};

/* What decoding puts between surfaces and takes off them. */
struct mega_joining {
    const char *blank; /* between words, or NULL */
    int strip;         /* so many blanks are taken off ... */
    enum {
        MEGA_STRIP_TEXT,  /* the start of the text */
        MEGA_STRIP_EACH,  /* the start of each piece as long as nothing is written */
        MEGA_STRIP_FIRST, /* the start of the first piece */
    } of;
};

struct mega_tokenizer {
    const struct mega_tokenizer_kind *kind;
    const char *name; /* a closer word for the kind, else NULL */
    struct mega_arena arena;
    struct mega_vocab vocab;
    struct mega_specials specials;
    struct mega_joining joining;
    int32_t special[4];            /* by enum mega_special; -1: none */
    struct mega_ids before, after; /* what options.frame puts around */
    struct mega_source source[MEGA_SOURCES_MOST];
    int sources;
    bool alone;  /* read from memory: no file stands beside it */
    void *model; /* the kind's */
    pthread_mutex_t lock;
    struct mega_workspace *idle; /* under the lock */
};

extern const struct mega_tokenizer_kind *const mega_tokenizer_kinds[]; /* ended by NULL */

/* Adds a file to those that are saved; the text is taken over. */
mega_status mega_tokenizer_keep(mega_tokenizer *t, const char *name, struct mega_text *bytes);

/* A file that belongs to the one at `path`: the first of "a|b" in its folder, kept from then
 * on. NULL in *bytes: there is none. */
mega_status mega_tokenizer_sibling(
    mega_tokenizer *t, const char *path, const char *names, const struct mega_text **bytes);

/* Reads a tokenizer from bytes instead of a file, by kind; for tests and trainers. `bytes` are
 * copied. With a second file, those of read_pair are taken over. */
mega_status mega_tokenizer_read_pair(mega_tokenizer **out,
    const struct mega_tokenizer_kind *kind, const char *path, struct mega_text *bytes,
    const char *other, struct mega_text *other_bytes);
mega_status mega_tokenizer_read(mega_tokenizer **out, const struct mega_tokenizer_kind *kind,
    const char *path, const void *bytes, size_t n);

/* The id of the first of "a b c" that is in the vocabulary, or -1. */
int32_t mega_vocab_any(const struct mega_vocab *v, const char *names);

/* The id that stands for a hidden token ("[MASK]", "<mask>"), or -1. */
int32_t mega_tokenizer_mask(const mega_tokenizer *t);

bool mega_ids_add(struct mega_ids *ids, const int32_t *id, size_t n); /* false: no memory */

void mega_emit_block(struct mega_workspace *w);
static inline void mega_emit(struct mega_workspace *w, int32_t id)
{
    if (w->n == sizeof w->block / sizeof *w->block) mega_emit_block(w);
    w->block[w->n++] = id;
}

/* "byte 4 of the text is not valid UTF-8" */
mega_status mega_fail_utf8(const struct mega_workspace *w, const char *at);

#endif
