/* What turns texts into ids: a tokenizer, as corpora see it. */
#ifndef MEGA_DATA_TEXT_ENCODER_H
#define MEGA_DATA_TEXT_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"

/* Ids that grow. */
struct mega_token_list {
    int32_t *id;
    int64_t n, room;
};
mega_status mega_token_list_add(struct mega_token_list *ids, const int32_t *id, int64_t n);
mega_status mega_token_list_reserve(
    struct mega_token_list *ids, int64_t more); /* room for so many more */
void mega_token_list_done(struct mega_token_list *ids);

struct mega_text_encoder {
    void *arg;
    /* Appends the ids of a text, without any id for its begin or end; `begins`: the text begins
     * a document (else it goes on where a cut was). */
    mega_status (*encode)(
        void *arg, const char *text, size_t n, bool begins, struct mega_token_list *out);
    /* The longest beginning of a text after which it may be cut, whatever follows, and still
     * gives the same ids; 0: none. NULL: a document is encoded whole. */
    size_t (*cut)(void *arg, const char *text, size_t n);
    uint64_t identity;     /* hash of everything that decides ids; names cached tokens */
    int64_t vocabulary;    /* ids lie below it */
    int32_t bos, eos, pad; /* -1: there is none */
};

/* An id is a byte; vocabulary 257, of which 256 begins and ends documents and pads. */
extern const struct mega_text_encoder mega_text_encoder_bytes;

#endif
