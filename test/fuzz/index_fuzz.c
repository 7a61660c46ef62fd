#include <stdlib.h>
#include <string.h>

#include "format/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reads an index of shards; what it names lies in its own folder */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_document d;
    struct mega_tensors_entry *entry;
    size_t n;
    int64_t total;
    if (mega_json_parse(&d, "fuzz", data, size)) return 0;
    if (!mega_tensors_index(&d, &entry, &n, &total))
        for (size_t i = 0; i < n; i++)
            if (strchr(entry[i].file, '/')) __builtin_trap();
    free(entry);
    mega_document_done(&d);
    return 0;
}
