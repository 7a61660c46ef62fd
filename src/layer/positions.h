/* Absolute positions, added to what is embedded. */
#ifndef MEGA_LAYER_POSITIONS_H
#define MEGA_LAYER_POSITIONS_H

#include "graph/run.h"

enum mega_positions_type {
    MEGA_POSITIONS_NONE,
    MEGA_POSITIONS_LEARNED,
    MEGA_POSITIONS_SINUSOIDAL,
    MEGA_POSITIONS_SCALED_SINUSOIDAL /* sines, then cosines, times one learned number */
};
#define MEGA_POSITIONS_CHOICES "none|learned|sinusoidal|scaled_sinusoidal"

struct mega_positions {
    enum mega_positions_type type;
    double scale;
    mega_tensor *table; /* learned: [longest, D] */
    mega_tensor *gain;  /* scaled: [1] */
};

/* Declares "weight" or "scale" below the present prefix. `scale`: what the vectors are
 * multiplied with (1). */
void mega_positions_build(mega_build *b, struct mega_positions *p,
    enum mega_positions_type type, int64_t width, int64_t longest, double scale);

/* x [B, T, D] -> [B, T, D]; x itself if there are none. */
mega_tensor *mega_positions_run(
    mega_run *r, const struct mega_positions *p, mega_tensor *x, const struct mega_rows *rows);

#endif
