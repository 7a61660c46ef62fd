/* What the cases of Megalodon share. */
#ifndef MEGA_TEST_MEGALODON_CASE_H
#define MEGA_TEST_MEGALODON_CASE_H

#include "golden/case.h"
#include "model/megalodon.h"

struct megalodon_case {
    struct golden_case *c;
    struct mega_store store;
    mega_build build;
    mega_run *run;
    bool opened;
    bool port; /* names and layouts of the pure-PyTorch port */
};

bool megalodon_open(struct golden_case *c, struct megalodon_case *m, bool port);
void megalodon_close(struct megalodon_case *m);

/* A declaration's end: lays the store out, loads it by the file's names. */
bool megalodon_ready(struct megalodon_case *m);

/* The layer's options by the names of cfg. */
void megalodon_options(struct megalodon_case *m, struct mega_megalodon_options *o);

/* All gradients that the file has, by its names. */
void megalodon_compare_gradients(struct megalodon_case *m);

/* The first `n` numbers of each row of a state (0: all). */
void megalodon_compare_state(struct megalodon_case *m, const char *name, const mega_stream *s,
    const struct mega_cell *cell, int64_t n);

/* count, mean, var, ema of one attention block below `prefix` ("out.state."). */
void megalodon_compare_states(struct megalodon_case *m, const char *prefix,
    const mega_stream *s, const struct mega_megalodon_attention *a);

/* in.padding_mask (1 = padding) or in.valid (1 = a token) as real places; NULL: all are. */
const int32_t *megalodon_real(struct megalodon_case *m);

/* The last two dimensions exchanged. */
mega_tensor *megalodon_turned(mega_run *r, const mega_tensor *x);

#endif
