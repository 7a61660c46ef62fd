#include "format/node.h"
#include "model/model.h"
#include "task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reads a document, then tries it as a section of every kind */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mega_document d;
    if (mega_json_parse(&d, "fuzz", data, size)) return 0;
    struct mega_model_config config;
    struct mega_task_options task;
    mega_model_config_read(
        &config, data[0] & 1 ? MEGA_LANGUAGE_MODEL : MEGA_CLASSIFIER, &d, d.root);
    mega_task_options_read(&task, &d, mega_node_find(d.root, "task"));
    struct mega_text text = { 0 };
    mega_json_add_node(&text, d.root, 0);
    mega_text_done(&text);
    mega_document_done(&d);
    return 0;
}
