#include "model/foreign_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reads a configuration of Hugging Face */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_document d;
    struct mega_foreign_config c;
    if (mega_json_parse(&d, "fuzz", data, size)) return 0;
    if (!mega_foreign_config_read(&c, &d, "ignored")) mega_foreign_config_done(&c);
    mega_document_done(&d);
    return 0;
}
