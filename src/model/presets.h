/* Presets: known models as options of the Transformer. A preset fills what a recipe does not
 * say (model.preset); it is data, a line of presets.def, and does nothing itself. */
#ifndef MEGA_MODEL_PRESETS_H
#define MEGA_MODEL_PRESETS_H

#include "base/option.h"
#include "format/node.h"

/* What models a preset makes (bits). */
enum {
    MEGA_PRESET_DECODER = 1, /* language models */
    MEGA_PRESET_ENCODER = 2, /* classifiers and masked language models */
    MEGA_PRESET_PAIR = 4     /* an encoder and a decoder that reads it */
};

struct mega_preset {
    const char *name, *title;
    unsigned of;
    const char *base;                   /* the preset that it goes on from; "": none */
    int64_t vocabulary;                 /* of the published model */
    const char *sizes, *choices, *head; /* "layers=6 width=512"; head: the output layer's */
    const char *ends;                   /* of a masked language model, of a pair */
};

/* Ended by an entry without a name. */
extern const struct mega_preset mega_presets[];

/* The key `preset` itself, an int: 0 for none, else a place in mega_presets, one further on. */
extern const struct mega_option mega_preset_options[];

const struct mega_preset *mega_preset_find(const char *name); /* or NULL */

/* Lists of settings, the base's before its own, which stand above them: for
 * mega_node_read_filled. */
enum { MEGA_PRESET_LISTS = 9 };
struct mega_preset_lists {
    const char *list[MEGA_PRESET_LISTS + 1]; /* ended by NULL */
};

/* Those of a preset for one kind of model (MEGA_PRESET_...), `first` before all ("": nothing).
 * An encoder is given no output layer; `ends` belong to masked models and pairs. */
struct mega_preset_lists mega_preset_settings(
    const struct mega_preset *p, unsigned of, const char *first, bool ends);

/* The preset that a section `model` names, or NULL; refuses one that does not make such a
 * model, by what does. */
mega_status mega_preset_read(const struct mega_preset **out, const struct mega_document *d,
    const struct mega_node *section, unsigned of);

/* Parameters of the model that it makes by itself, with its vocabulary: of the pair, the
 * language model or the masked one. Nothing is given memory. */
mega_status mega_preset_count(const struct mega_preset *p, int64_t *out);

#endif
