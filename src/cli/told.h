/* Printing generated texts: as they are made, in the order of their prompts, or a JSON object
 * for each. */
#ifndef MEGA_CLI_TOLD_H
#define MEGA_CLI_TOLD_H

#include "base/text.h"
#include "megac/generate.h"

struct mega_told {
    bool json;
    int64_t texts;
    struct mega_text *waiting; /* [texts]: bytes that were not printed yet */
    bool *ended;               /* [texts] */
    int64_t at;                /* the text that is printed as it is made */
    int64_t tokens;            /* new ones of all texts that ended */
    int64_t full;              /* texts that ended because the context is full */
    bool interrupted;
};

mega_status mega_told_init(struct mega_told *t, int64_t texts, bool json);
void mega_told_done(struct mega_told *t);

/* Bytes that are to stand before what is made of a text; not with JSON. */
void mega_told_before(struct mega_told *t, int64_t text, const char *bytes, size_t n);

/* A mega_generate_fn over a struct mega_told; ends the work at a signal or where nobody reads
 * on. */
bool mega_told_hear(void *arg, const struct mega_generated *g);

#endif
