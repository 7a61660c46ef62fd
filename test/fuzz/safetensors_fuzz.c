#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reads a file and every element of it */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_safetensors s;
    if (mega_safetensors_parse(&s, "fuzz", data, size)) return 0;
    double sum = 0;
    for (int i = 0; i < s.n; i++)
        for (int64_t k = 0; k < s.tensor[i].count && k < 1000; k++)
            sum += mega_st_real(&s.tensor[i], k);
    if (sum == 0.12345) __builtin_trap(); /* so that the reads are not left out */
    mega_safetensors_close(&s);
    return 0;
}
