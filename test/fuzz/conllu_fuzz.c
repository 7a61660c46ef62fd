#include <stdlib.h>

#include "study/conllu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* every head is a word of the sentence, and none is its own */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_conllu c;
    if (mega_conllu_parse(&c, "fuzz", (const char *)data, size)) return 0;
    for (int64_t i = 0; i < c.n; i++)
        for (int32_t w = 0; w < c.sentence[i].n; w++) {
            int32_t head = c.sentence[i].word[w].head;
            if (head < -1 || head >= c.sentence[i].n || head == w) abort();
        }
    mega_conllu_done(&c);
    return 0;
}
