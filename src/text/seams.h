/* Seams: two characters that stand side by side in no piece. No merge reaches across a seam, so
 * a text may be cut there and its parts encoded, and remembered, one by one. */
#ifndef MEGA_TEXT_SEAMS_H
#define MEGA_TEXT_SEAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mega_seams {
    uint64_t ascii[128][2]; /* a bit for each pair of ASCII characters that is no seam */
    uint64_t *slot;         /* other pairs, hashed; 0: free */
    uint32_t mask, n;
};

/* Learns the pairs inside a piece; false: no memory. */
bool mega_seams_learn(struct mega_seams *s, const char *piece, size_t size);
bool mega_seams_between(const struct mega_seams *s, uint32_t left, uint32_t right);
void mega_seams_done(struct mega_seams *s);

#endif
