/* Relative position bias of Mega's attention (section 4): one number for each distance between
 * key and query. */
#ifndef MEGA_LAYER_RELATIVE_BIAS_H
#define MEGA_LAYER_RELATIVE_BIAS_H

#include "graph/run.h"

enum mega_bias_type { MEGA_BIAS_SIMPLE, MEGA_BIAS_ROTARY };
#define MEGA_BIAS_CHOICES "simple|rotary"

struct mega_relative_bias {
    enum mega_bias_type type;
    mega_tensor *table;        /* simple: [2P-1] */
    mega_tensor *alpha, *beta; /* rotary: [1, Z] */
};

/* Declares "rel_pos_bias" or "alpha", "beta" below the present prefix. `longest`: P, the
 * longest window of a simple bias. */
void mega_relative_bias_build(mega_build *b, struct mega_relative_bias *p,
    enum mega_bias_type type, int64_t longest, int64_t keys);

/* [2n-1] with n >= length; entry n-1+j-i belongs to query i and key j. */
mega_tensor *mega_relative_bias_run(
    mega_run *r, const struct mega_relative_bias *p, int64_t length);

#endif
