/* Byte-level text classification (Long Range Arena's Text: IMDB): id = byte + 1, 0 is padding.
 */
#include "task/classify.h"

const struct mega_task mega_task_text = {
    .name = "text",
    .architecture = MEGA_CLASSIFIER,
    .open = mega_classify_open,
    .inputs = { .vocabulary = 257, .pad = 0 },
    .read = mega_examples_read_text,
    .read_one = mega_examples_add_bytes,
};
