/* The L2 norm of the gradients. */
#ifndef MEGA_OPTIM_GRAD_NORM_H
#define MEGA_OPTIM_GRAD_NORM_H

#include "optim/span.h"

enum mega_clip_mode { MEGA_CLIP_TOTAL, MEGA_CLIP_EACH };

/* The norm of scale * gradient over all touched spans (total), or the largest of any one span
 * (each); span[].norm receives each span's own. Sums in float64, in an order that shapes
 * decide. A norm that is not finite is no error here: the caller must look at it before taking
 * a step. */
mega_status mega_grad_norm(struct mega_work *work, const float *grad, double scale,
    struct mega_span *span, int n_spans, enum mega_clip_mode mode, double *norm);

#endif
