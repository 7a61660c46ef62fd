#include "format/tfevents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* what is kept of an event file never reaches beyond it */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (mega_tfevents_keep(data, size, 100, "valid/") > size) __builtin_trap();
    return 0;
}
