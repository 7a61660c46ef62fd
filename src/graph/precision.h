/* What passes are computed in. Parameters, their gradients, the optimiser's state, statistics,
 * states and losses are float32 whatever is chosen here; activations and their gradients are
 * not. */
#ifndef MEGA_GRAPH_PRECISION_H
#define MEGA_GRAPH_PRECISION_H

#include "graph/context.h"
#include "tensor/tensor.h"

enum mega_precision { MEGA_PRECISION_FLOAT32, MEGA_PRECISION_BF16, MEGA_PRECISION_AUTO };
#define MEGA_PRECISION_CHOICES "float32|bf16|auto"

/* auto: bf16 where the chip has matrix units for it, else float32. */
enum mega_precision mega_precision_resolve(int precision);
mega_dtype mega_precision_type(int precision);

/* A sentence for the user where bfloat16 saves memory but no time, else NULL. */
const char *mega_precision_note(int precision, const mega_context *c);

#endif
