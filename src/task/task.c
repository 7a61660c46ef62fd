#include "task/task.h"

#define X(name) extern const struct mega_task mega_task_##name;
#include "task/tasks.def"
#undef X

#define X(name) &mega_task_##name,
const struct mega_task *const mega_tasks[] = {
#include "task/tasks.def"
    NULL,
};
#undef X

const char *const mega_split_names[] = { "train", "valid", "test" };

#define X(name) "|" #name
static const char names[] =
#include "task/tasks.def"
    ;
#undef X

#define FIELD(member) offsetof(struct mega_task_options, member)

const struct mega_option mega_task_options[] = {
    { "name", MEGA_OPTION_CHOICE, FIELD(name), NULL, 0, 0, names + 1, NULL, "what is learned",
        0 },
    { "train", MEGA_OPTION_TEXT, FIELD(train), "", 0, 0, NULL, "FILE",
        "training data, plain or gzip", 0 },
    { "valid", MEGA_OPTION_TEXT, FIELD(valid), "", 0, 0, NULL, "FILE",
        "validation data; empty: rows held out of train", 0 },
    { "test", MEGA_OPTION_TEXT, FIELD(test), "", 0, 0, NULL, "FILE",
        "test data: only mega eval reads them", 0 },
    { "max_length", MEGA_OPTION_INT, FIELD(max_length), "0", 0, 1 << 30, NULL, "N",
        "longer texts are cut there, the head is kept; 0: model.longest", 0 },
    { "hold_out", MEGA_OPTION_REAL, FIELD(hold_out), "0.1", 0, 0.9, NULL, "SHARE",
        "where valid is empty: the share of train that validates, chosen by the rows' hashes",
        0 },
    { "label_column", MEGA_OPTION_TEXT, FIELD(label_column), "label", 0, 0, NULL, "COLUMN",
        "text: name in the header, JSON key, or number from 1", 0 },
    { "text_column", MEGA_OPTION_TEXT, FIELD(text_column), "text", 0, 0, NULL, "COLUMN",
        "text: likewise", 0 },
    { "header", MEGA_OPTION_CHOICE, FIELD(header), "auto", 0, 0, MEGA_HEADER_CHOICES, NULL,
        "text: whether a TSV begins with column names; auto: if a column is given by name", 0 },
    { 0 },
};
