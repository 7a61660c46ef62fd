/* Texts with their attention maps, and what their places are called. */
#ifndef MEGA_CLI_HEADS_TEXTS_H
#define MEGA_CLI_HEADS_TEXTS_H

#include "cli/heads_session.h"
#include "study/head_report.h"

struct mega_heads_texts {
    struct mega_head_text *text;
    int64_t n;
};

/* The first `most` texts of the data; `relevance`: also what their predictions are made of. */
mega_status mega_heads_texts_take(
    struct mega_heads_texts *t, struct mega_heads_session *h, int64_t most, bool relevance);
void mega_heads_texts_free(struct mega_heads_texts *t);

#endif
