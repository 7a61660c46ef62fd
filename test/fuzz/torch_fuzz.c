#include <stdlib.h>

#include "format/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reads a file and every element of its tensors */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_torch t;
    if (mega_torch_parse(&t, "fuzz", data, size)) return 0;
    for (int i = 0; i < t.n; i++) {
        if (t.tensor[i].is.size > 1 << 20) continue;
        void *copy = malloc(t.tensor[i].is.size + 1);
        float *numbers = malloc((size_t)t.tensor[i].is.count * sizeof *numbers + 1);
        if (copy && numbers) {
            mega_named_copy(&t.tensor[i], copy);
            mega_named_read(&t.tensor[i], "fuzz", numbers);
        }
        free(copy);
        free(numbers);
    }
    mega_torch_close(&t);
    return 0;
}
