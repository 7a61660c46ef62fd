/* Long Range Arena's ListOps: ten classes, the values of the trees. */
#include "data/listops.h"
#include "task/classify.h"

static const char *digits[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
static const struct mega_texts labels = { digits, 10 };

const struct mega_task mega_task_listops = {
    .name = "listops",
    .architecture = MEGA_CLASSIFIER,
    .open = mega_classify_open,
    .inputs = { .vocabulary = MEGA_LISTOPS_VOCABULARY, .pad = 0 },
    .labels = &labels,
    .read = mega_examples_read_listops,
    .read_one = mega_examples_add_tree,
};
