#include <stdlib.h>

#include "format/llama2c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reads a file and every element of its tensors */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_llama2c f;
    mega_llama2c_begins(data, size);
    if (mega_llama2c_parse(&f, "fuzz", data, size)) return 0;
    for (int i = 0; i < f.n; i++) {
        float *numbers = malloc(f.tensor[i].is.size + 1);
        if (numbers) mega_named_read(&f.tensor[i], "fuzz", numbers);
        free(numbers);
    }
    mega_llama2c_close(&f);
    return 0;
}
