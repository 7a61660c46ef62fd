#include "task/task.h"

#include "format/option_json.h"

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

#undef FIELD
#define FIELD(member) offsetof(struct mega_task_options, language.member)

const struct mega_option mega_language_options[] = {
    { "name", MEGA_OPTION_CHOICE, offsetof(struct mega_task_options, name), NULL, 0, 0,
        names + 1, NULL, "what is learned", 0 },
    { "tokenizer", MEGA_OPTION_TEXT, FIELD(tokenizer), "bytes", 0, 0, NULL, "PATH",
        "a tokenizer's file or folder; bytes: an id is a byte", 0 },
    { 0 },
};

/* the name alone, which decides about the other keys */
static mega_status find_name(
    struct mega_task_options *o, const struct mega_document *d, const struct mega_node *section)
{
    const struct mega_node *name = section ? mega_node_find(section, "name") : NULL;
    o->name = name && name->text ? mega_choice_find(names + 1, name->text) : -1;
    if (o->name >= 0) return MEGA_OK;
    if (!name)
        return mega_fail(MEGA_BAD_ARGUMENT, "%s: task.name is missing, expected one of %s",
            d->name, names + 1);
    return mega_fail(MEGA_BAD_ARGUMENT, "%s:%d:%d: task.name is '%s', expected one of %s",
        d->name, name->line, name->column, name->text ? name->text : "", names + 1);
}

static bool is_language(const struct mega_task_options *o)
{
    return mega_tasks[o->name]->architecture != MEGA_CLASSIFIER;
}

static bool is_masked(const struct mega_task_options *o)
{
    return mega_tasks[o->name]->architecture == MEGA_MASKED_MODEL;
}

mega_status mega_task_options_read(
    struct mega_task_options *o, const struct mega_document *d, const struct mega_node *section)
{
    *o = (struct mega_task_options){ 0 };
    MEGA_TRY(find_name(o, d, section));
    if (!is_language(o)) return mega_node_read(d, section, "task", mega_task_options, NULL, o);
    const struct mega_option *tables[] = { mega_language_options, mega_corpus_options,
        mega_masking_options };
    void *values[] = { o, &o->language.corpus, &o->language.masking };
    return mega_node_read_tables(d, section, "task", tables, values, is_masked(o) ? 3 : 2);
}

void mega_task_options_language(struct mega_task_options *o, enum mega_architecture a)
{
    *o = (struct mega_task_options){ 0 };
    mega_option_defaults(mega_language_options, o);
    mega_option_defaults(mega_corpus_options, &o->language.corpus);
    mega_option_defaults(mega_masking_options, &o->language.masking);
    o->name = mega_choice_find(names + 1, a == MEGA_MASKED_MODEL ? "masked_lm" : "lm");
}

void mega_task_options_print(const struct mega_task_options *o, struct mega_text *to)
{
    mega_option_print(is_language(o) ? mega_language_options : mega_task_options, o, 2, to);
    if (is_language(o)) mega_option_print(mega_corpus_options, &o->language.corpus, 2, to);
    if (is_masked(o)) mega_option_print(mega_masking_options, &o->language.masking, 2, to);
}

void mega_task_options_json(const struct mega_task_options *o, int indent, struct mega_text *to)
{
    mega_option_add_json(
        to, is_language(o) ? mega_language_options : mega_task_options, o, indent, false);
    if (is_language(o))
        mega_option_add_json(to, mega_corpus_options, &o->language.corpus, indent, true);
    if (is_masked(o))
        mega_option_add_json(to, mega_masking_options, &o->language.masking, indent, true);
}
