#include "data/examples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* the first byte says how the rest is read: TSV or JSON lines, columns by name or number,
 * labels or none; ListOps */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    struct mega_examples e;
    struct mega_examples_layout layout = { .label_column = data[0] & 1 ? "1" : "label",
        .text_column = data[0] & 1 ? "2" : "text",
        .header = data[0] >> 1 & 3,
        .labels = data[0] & 8,
        .max_length = data[0] & 16 ? 5 : 0 };
    if (layout.header > 2) layout.header = 0;
    mega_status status =
        data[0] & 32 ? mega_examples_read_listops(&e, "fuzz", data + 1, size - 1, &layout)
                     : mega_examples_read_text(&e, "fuzz", data + 1, size - 1, &layout);
    if (status) return 0;
    struct mega_texts labels;
    struct mega_examples held;
    if (!mega_labels_collect(&e, &labels)) {
        mega_labels_apply(&e, "fuzz", &labels);
        mega_labels_done(&labels);
    }
    if (!mega_examples_split(&e, 0.5, &held)) mega_examples_done(&held);
    mega_examples_done(&e);
    return 0;
}
