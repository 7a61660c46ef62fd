/* How often each text came: words of a corpus. */
#ifndef MEGA_TEXT_COUNTS_H
#define MEGA_TEXT_COUNTS_H

#include "text/vocab.h"

struct mega_counts {
    struct mega_arena arena;
    struct mega_vocab texts; /* by number, in the order of their first coming */
    int64_t *count;          /* [texts.n] */
    int32_t room;
};

mega_status mega_counts_init(struct mega_counts *c);
void mega_counts_done(struct mega_counts *c);
mega_status mega_counts_add(struct mega_counts *c, const char *text, size_t n, int64_t times);

/* The numbers of all texts, most frequent first, equals by their bytes; yours to free. NULL: no
 * memory. */
int32_t *mega_counts_sorted(const struct mega_counts *c);

#endif
