/* Mixers: what moves information along the sequence.
 *
 * A mixer is one file and one line in mixers.def: an option table, parameters and cells, one
 * forward for whole rows and for pieces of a stream. The model gives it a place (width,
 * causality, wiring) and calls it; it knows nothing else. */
#ifndef MEGA_MIXER_MIXER_H
#define MEGA_MIXER_MIXER_H

#include "base/option.h"
#include "graph/run.h"

/* What the model decides for every mixer. */
struct mega_mixer_place {
    int64_t width;   /* D */
    int64_t layer;   /* which one, from 0 */
    int64_t longest; /* the longest sequence that the model is made for */
    int act, norm;   /* enum mega_act, enum mega_norm_type */
    bool causal, prenorm, feature_dropout;
    double dropout, hidden_dropout;
};

enum {
    MEGA_MIX_CAUSAL = 1,
    MEGA_MIX_TWO_WAY = 2,
    MEGA_MIX_STREAM = 4,
    MEGA_MIX_OWNS_BLOCK =
        8 /* norm and residual are its own: it gets x as it is and returns the block's output;
             else it gets what the sublayer reads and returns the branch */
};

struct mega_mixer {
    const char *name;
    const struct mega_option
        *options; /* resolved for one layer; the same table prints help and checks recipes */
    size_t options_size;
    unsigned (*can)(const void *options);
    mega_status (*check)(const void *options,
        const struct mega_mixer_place *place); /* refuses what cannot be, by name */
    void *(*build)(mega_build *b, const void *options,
        const struct mega_mixer_place *place); /* borrowed; NULL: b->status */
    mega_tensor *(*forward)(
        mega_run *r, const void *self, mega_tensor *x, const struct mega_rows *rows);
    int64_t (*multiple)(const void
            *options); /* a text above this length is padded to a multiple of it; 1: any */
    bool (*is_constant)(
        const void *self); /* it does not read what it is given; NULL: it does */
};

/* All of mixers.def, ended by NULL, and their names in that order. */
extern const struct mega_mixer *const mega_mixers[];
#define MEGA_MIXER_CHOICES "attention|mega"

#endif
