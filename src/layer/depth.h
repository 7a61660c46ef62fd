/* Depth attention: a branch reads, place by place, what attention over all states of the stream
 * so far makes of them (2603.15031, 2601.21582).
 *
 *   k_t = rms(hid_t), v_t = hid_t, t = 0 ... n - 1, cut into heads; q learned, or W_q
 * rms(hid_n-1) u = sum_t softmax_t(turn(q, n - 1) . turn(k_t, t) / sqrt(d)) v_t,  head by head
 *
 * turn(x, p) are rotary positions over the depth. At first q is 0: the branch reads the mean.
 */
#ifndef MEGA_LAYER_DEPTH_H
#define MEGA_LAYER_DEPTH_H

#include "layer/norm.h"

enum { MEGA_DEPTH_MOST = 200 }; /* states */

struct mega_depth {
    int64_t heads, width;  /* heads 0: there is no depth attention */
    struct mega_norm norm; /* of keys */
    mega_tensor *query;    /* [1, 1, D], or NULL */
    mega_tensor *wq;       /* [D, D] in its place */
};

/* Declares "depth.*" below the present prefix. `state`: the query is made of the last state. */
void mega_depth_build(
    mega_build *b, struct mega_depth *d, int64_t heads, bool state, int64_t width);

/* u [B, T, D] of n states hid[] of that shape, the last one of which is the stream as it is. */
mega_tensor *mega_depth_run(
    mega_run *r, const struct mega_depth *d, mega_tensor *const *hid, int64_t n);

#endif
