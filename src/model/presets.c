#include "model/presets.h"

#include <string.h>

#include "base/fail.h"

#define X(name, title, of, base, vocabulary, sizes, choices, head, ends)                       \
    { name, title, of, base, vocabulary, sizes, choices, head, ends },
const struct mega_preset mega_presets[] = {
#include "model/presets.def"
    { 0 },
};
#undef X

#define X(name, ...) "|" name
static const char words[] = "none"
#include "model/presets.def"
    ;
#undef X

const struct mega_option mega_preset_options[] = {
    { "preset", MEGA_OPTION_CHOICE, 0, "none", 0, 0, words, NULL,
        "a known model: fills the keys of the Transformer that are not written (mega help "
        "presets)",
        0 },
    { 0 },
};

const struct mega_preset *mega_preset_find(const char *name)
{
    for (const struct mega_preset *p = mega_presets; p->name; p++)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

static void add(struct mega_preset_lists *l, int *n, const char *settings)
{
    if (*settings && *n < MEGA_PRESET_LISTS) l->list[(*n)++] = settings;
}

struct mega_preset_lists mega_preset_settings(
    const struct mega_preset *p, unsigned of, const char *first, bool ends)
{
    struct mega_preset_lists l = { { 0 } };
    const struct mega_preset *from[] = { *p->base ? mega_preset_find(p->base) : NULL, p };
    int n = 0;
    add(&l, &n, first);
    for (int i = 0; i < 2; i++) {
        if (!from[i]) continue;
        add(&l, &n, from[i]->sizes);
        add(&l, &n, from[i]->choices);
        if (of != MEGA_PRESET_ENCODER) add(&l, &n, from[i]->head);
        if (ends) add(&l, &n, from[i]->ends);
    }
    return l;
}

/* who makes use of it */
static const char *use_of(unsigned of)
{
    if (of & MEGA_PRESET_DECODER) return "is a decoder: expected task lm";
    if (of & MEGA_PRESET_ENCODER)
        return "is an encoder: expected task masked_lm, or one that classifies";
    return "reads one text and writes another: no task trains such a pair yet, the library has "
           "it (model/encoder_decoder.h)";
}

mega_status mega_preset_read(const struct mega_preset **out, const struct mega_document *d,
    const struct mega_node *section, unsigned of)
{
    const struct mega_node *n =
        section && section->kind == MEGA_NODE_MAP ? mega_node_find(section, "preset") : NULL;
    int choice = n && n->text ? mega_choice_find(words, n->text) : 0;
    *out = NULL;
    /* a word that is none is refused with the rest of the section */
    if (choice < 1) return MEGA_OK;
    const struct mega_preset *p = &mega_presets[choice - 1];
    if (!(p->of & of))
        return mega_fail(MEGA_BAD_ARGUMENT, "%s:%d:%d: model.preset: %s %s", d->name, n->line,
            n->column, p->name, use_of(p->of));
    *out = p;
    return MEGA_OK;
}
