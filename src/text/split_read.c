/* Reading pre-tokenizers: each "type" is a line of a table. */
#include <stdlib.h>

#include "text/split.h"
#include "text/unicode.h"

#define GPT2_PATTERN                                                                           \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static struct mega_split_step *new_step(struct mega_splitter *s, enum mega_split what)
{
    struct mega_split_step *step = NULL;
    if (s->n < MEGA_SPLIT_MOST) step = realloc(s->step, (size_t)(s->n + 1) * sizeof *step);
    if (!step) {
        mega_fail(MEGA_UNSUPPORTED, "more than %d pre-tokenizers", (int)MEGA_SPLIT_MOST);
        return NULL;
    }
    s->step = step;
    step[s->n] = (struct mega_split_step){ .what = what, .behavior = MEGA_SPLIT_ISOLATED };
    return &step[s->n++];
}

static mega_status refuse(const struct mega_document *d, const struct mega_node *node,
    const char *what, const char *found)
{
    return mega_fail(MEGA_UNSUPPORTED, "%s:%d:%d: %s '%.80s' is not supported", d->name,
        node->line, node->column, what, found);
}

static bool flag(const struct mega_node *node, const char *key, bool fallback)
{
    const struct mega_node *found = mega_node_find(node, key);
    return found && found->kind == MEGA_NODE_BOOL ? found->boolean : fallback;
}

/* in the order of the enum */
static mega_status read_behavior(
    const struct mega_document *d, const struct mega_node *node, enum mega_split_behavior *out)
{
    const struct mega_node *found = mega_node_find(node, "behavior");
    if (!found || found->kind != MEGA_NODE_TEXT) return MEGA_OK;
    int which = mega_choice_find(
        "Removed|Isolated|MergedWithPrevious|MergedWithNext|Contiguous", found->text);
    if (which < 0) return refuse(d, found, "the split behavior", found->text);
    *out = (enum mega_split_behavior)which;
    return MEGA_OK;
}

static mega_status add_pattern(struct mega_splitter *s, const char *expression)
{
    struct mega_split_step *step = new_step(s, MEGA_SPLIT_PATTERN);
    if (!step) return MEGA_UNSUPPORTED;
    return mega_pattern_compile(
        &step->pattern, "pre-tokenizer", expression, strlen(expression));
}

/* ---- one reader a type ---- */

static mega_status read_byte_level(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    (void)d;
    if (flag(node, "add_prefix_space", true) && !new_step(s, MEGA_SPLIT_PREFIX))
        return MEGA_UNSUPPORTED;
    if (flag(node, "use_regex", true)) MEGA_TRY(add_pattern(s, GPT2_PATTERN));
    s->byte_level = true;
    return MEGA_OK;
}

static mega_status read_split(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    struct mega_split_step *step = new_step(s, MEGA_SPLIT_PATTERN);
    if (!step) return MEGA_UNSUPPORTED;
    step->invert = flag(node, "invert", false);
    MEGA_TRY(read_behavior(d, node, &step->behavior));
    s->drops |= step->behavior == MEGA_SPLIT_REMOVED;
    return mega_pattern_read(&step->pattern, d, node);
}

static mega_status read_digits(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    (void)d;
    struct mega_split_step *step = new_step(s, MEGA_SPLIT_CHARACTERS);
    if (!step) return MEGA_UNSUPPORTED;
    step->is = mega_char_is_numeric;
    step->behavior =
        flag(node, "individual_digits", false) ? MEGA_SPLIT_ISOLATED : MEGA_SPLIT_CONTIGUOUS;
    return MEGA_OK;
}

static mega_status read_punctuation(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    struct mega_split_step *step = new_step(s, MEGA_SPLIT_CHARACTERS);
    if (!step) return MEGA_UNSUPPORTED;
    step->is = mega_char_is_punctuation;
    return read_behavior(d, node, &step->behavior);
}

static mega_status read_whitespace(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    (void)d, (void)node;
    MEGA_TRY(add_pattern(s, "[\\w\\p{Join_Control}]+|[^\\w\\p{Join_Control}\\s]+"));
    s->step[s->n - 1].behavior = MEGA_SPLIT_REMOVED;
    s->step[s->n - 1].invert = true;
    s->drops = true;
    return MEGA_OK;
}

static mega_status read_whitespace_split(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    (void)d, (void)node;
    struct mega_split_step *step = new_step(s, MEGA_SPLIT_CHARACTERS);
    if (!step) return MEGA_UNSUPPORTED;
    step->is = mega_char_is_space;
    step->behavior = MEGA_SPLIT_REMOVED;
    s->drops = true;
    return MEGA_OK;
}

static mega_status read_metaspace(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    const struct mega_node *mark = mega_node_find(node, "replacement");
    const struct mega_node *scheme = mega_node_find(node, "prepend_scheme");
    struct mega_split_step *step = new_step(s, MEGA_SPLIT_METASPACE);
    if (!step) return MEGA_UNSUPPORTED;
    step->mark = (struct mega_span){ "\xE2\x96\x81", 3 };
    if (mark && mark->kind == MEGA_NODE_TEXT && mark->size)
        step->mark = (struct mega_span){ mark->text, mark->size };
    step->behavior = MEGA_SPLIT_MERGED_WITH_NEXT;
    step->cut = flag(node, "split", true);
    step->prepend = flag(node, "add_prefix_space", true) ? MEGA_MARK_ALWAYS : MEGA_MARK_NEVER;
    if (scheme && scheme->kind == MEGA_NODE_TEXT) {
        int which = mega_choice_find("never|first|always", scheme->text);
        if (which < 0) return refuse(d, scheme, "the prepend_scheme", scheme->text);
        step->prepend = which;
    }
    return mega_pattern_literal(
        &step->pattern, "pre-tokenizer", step->mark.data, step->mark.size);
}

mega_status mega_splitter_bert(struct mega_splitter *s)
{
    for (int i = 0; i < 2; i++) {
        struct mega_split_step *step = new_step(s, MEGA_SPLIT_CHARACTERS);
        if (!step) return MEGA_UNSUPPORTED;
        step->is = i ? mega_char_is_punctuation : mega_char_is_space;
        step->behavior = i ? MEGA_SPLIT_ISOLATED : MEGA_SPLIT_REMOVED;
    }
    s->drops = true;
    return MEGA_OK;
}

static mega_status read_bert(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    (void)d, (void)node;
    return mega_splitter_bert(s);
}

static const struct {
    const char *type;
    mega_status (*read)(
        struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node);
} readers[] = {
    { "BertPreTokenizer", read_bert },
    { "ByteLevel", read_byte_level },
    { "Split", read_split },
    { "Digits", read_digits },
    { "Punctuation", read_punctuation },
    { "Whitespace", read_whitespace },
    { "WhitespaceSplit", read_whitespace_split },
    { "Metaspace", read_metaspace },
};

mega_status mega_splitter_read(
    struct mega_splitter *s, const struct mega_document *d, const struct mega_node *node)
{
    if (!node || node->kind == MEGA_NODE_NULL) return MEGA_OK;
    const struct mega_node *type = mega_node_find(node, "type");
    if (!type || type->kind != MEGA_NODE_TEXT)
        return mega_fail(MEGA_BAD_FILE, "%s:%d:%d: expected a pre-tokenizer with a \"type\"",
            d->name, node->line, node->column);
    if (s->byte_level)
        return mega_fail(MEGA_UNSUPPORTED,
            "%s:%d:%d: a pre-tokenizer after ByteLevel, '%.80s', is not supported", d->name,
            type->line, type->column, type->text);
    if (!strcmp(type->text, "Sequence")) {
        const struct mega_node *list = mega_node_find(node, "pretokenizers");
        if (!list || list->kind != MEGA_NODE_LIST)
            return mega_fail(MEGA_BAD_FILE,
                "%s:%d:%d: expected a list \"pretokenizers\" in this Sequence", d->name,
                node->line, node->column);
        for (const struct mega_node *each = list->first; each; each = each->next)
            MEGA_TRY(mega_splitter_read(s, d, each));
        return MEGA_OK;
    }
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (!strcmp(type->text, readers[i].type)) return readers[i].read(s, d, node);
    return refuse(d, type, "the pre-tokenizer", type->text);
}

mega_status mega_splitter_gpt2(struct mega_splitter *s)
{
    s->byte_level = true;
    return add_pattern(s, GPT2_PATTERN);
}
