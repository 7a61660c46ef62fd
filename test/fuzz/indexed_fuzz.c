#include <stdlib.h>
#include <string.h>

#include "data/indexed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* two bytes: how many of the rest are the index; the others are ids. What is accepted must be
 * readable to its last token */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { VOCABULARY = 1000 };
    if (size < 2) return 0;
    size_t n = (size_t)data[0] | (size_t)data[1] << 8;
    data += 2;
    size -= 2;
    if (n > size) n = size;
    struct mega_token_part p = { 0 };
    if (mega_indexed_read(&p, "fuzz", data, n, data + n, size - n, VOCABULARY)) return 0;
    int32_t id[64];
    for (int64_t i = 0; i < p.tokens; i += 64) {
        int64_t now = p.tokens - i < 64 ? p.tokens - i : 64;
        mega_token_part_read(&p, i, now, id);
        for (int64_t k = 0; k < now; k++)
            if (id[k] < 0 || id[k] >= VOCABULARY) abort();
        int64_t d = mega_token_part_document_at(&p, i);
        if (mega_token_part_document(&p, d) > i || mega_token_part_document(&p, d + 1) <= i)
            abort();
    }
    return 0;
}
