/* Slots A8 and A9 of attention: what heads bring, on its way to the model's width, in this
 * order: the logarithm of laser, head scale and lent gates, a gate of heads, a module beside
 * them, a gate of channels, belief, an inner norm, the projection, which may gate itself. */
#ifndef MEGA_LAYER_ATTENTION_OUTPUT_H
#define MEGA_LAYER_ATTENTION_OUTPUT_H

#include "layer/attention_hybrid.h"

struct mega_attention_output {
    mega_tensor *head_scale; /* [H] */
    struct mega_attention_gate {
        mega_tensor *down;                  /* [R, D], before up; NULL: not of low rank */
        mega_tensor *weight, *bias;         /* [n, D or R], [n]; NULL: there is no gate */
        mega_tensor *out_down, *out_weight; /* the same of the heads' output, [.., H dv] */
    } gate, head_gate;                      /* of channels, n = H dv; of heads, n = H */
    struct mega_attention_hybrid hybrid;
    struct mega_norm inner;
};

/* What it reads beside o [B, T, H dv]. */
struct mega_attention_output_args {
    mega_tensor *z;     /* [B, T, D]: what the queries came from */
    mega_tensor *q, *v; /* as projected: [B, T, H d], [B, T, G dv] */
    const struct mega_head_gates *gates, *group_gates;
    const struct mega_rows *rows;
};

void mega_attention_output_build(mega_build *b, struct mega_attention_output *m,
    const struct mega_attention_options *options);

/* Columns that the projection reads and makes. */
int64_t mega_attention_output_reads(const struct mega_attention_options *options);
int64_t mega_attention_output_makes(const struct mega_attention_options *options);

/* [B, T, D], zero at places that are not real. */
mega_tensor *mega_attention_output_run(mega_run *r, const struct mega_attention_output *m,
    const struct mega_attention_options *options, mega_tensor *o, mega_tensor *weight,
    mega_tensor *bias, const struct mega_attention_output_args *args);

#endif
