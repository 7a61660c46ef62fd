/* Adaptive input (Baevski and Auli, 2019; Mega section 8.5): frequent words have wide vectors,
 * rare ones narrow ones, and each band of words a projection to the width of the model.
 *
 *   embedding(w) = P_i table_i[w - first_i], w in band i, table_i [size_i, D_in / f^i]
 *
 * Names, as in the official model: embeddings.<i>.0.weight, the table, and
 * embeddings.<i>.1.weight [D, D_in / f^i], the projection, without a bias; the first band has
 * one, too. */
#ifndef MEGA_LAYER_ADAPTIVE_INPUT_H
#define MEGA_LAYER_ADAPTIVE_INPUT_H

#include "layer/bands.h"

struct mega_adaptive_input_options {
    struct mega_bands_options bands;
    int64_t input_width, width; /* D_in, of the first table; D */
    int64_t pad;                /* its row gets no gradient here and starts at zero; -1: none */
    bool zero_each; /* row `pad` of every band starts at zero, as in the original code */
    double scale;   /* of the vectors */
};

struct mega_adaptive_input {
    struct mega_adaptive_input_options options;
    struct mega_bands bands;
    mega_tensor *table[MEGA_BANDS], *projection[MEGA_BANDS];
};

void mega_adaptive_input_build(mega_build *b, struct mega_adaptive_input *f,
    const struct mega_adaptive_input_options *options);

/* tokens [B, T] I32 -> [B, T, D]. A band without a word in the batch takes no part: its table
 * and projection count as untouched. */
mega_tensor *mega_adaptive_input_run(
    mega_run *r, const struct mega_adaptive_input *f, mega_tensor *tokens);

#endif
