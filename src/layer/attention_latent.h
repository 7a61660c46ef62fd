/* Latent attention (MLA: DeepSeek-V2, 2405.04434): keys and values of all heads come from a
 * latent of few channels, and one rotary key that all heads share.
 *
 *   c = z W_kv_down [r],  kr = rope(z W_k_rope) [dr]
 *   k_h = [c W_k_up,h ; kr],  v_h = c W_v_up,h,  q_h = [q_nope,h ; rope(q_rope,h)]
 *
 * A stream keeps c and kr alone: then a head's query is multiplied by W_k_up,h and meets the
 * latents themselves, and what it gets is multiplied by W_v_up,h. */
#ifndef MEGA_LAYER_ATTENTION_LATENT_H
#define MEGA_LAYER_ATTENTION_LATENT_H

#include "layer/attention_score.h"

struct mega_attention_latent {
    mega_tensor *q_down, *q_up;       /* [rq, D], [H (d + dr), rq]; NULL: q alone */
    mega_tensor *q, *q_bias;          /* [H (d + dr), D] */
    mega_tensor *kv_down, *k_rope;    /* [r, D], [dr, D] */
    mega_tensor *k_up, *v_up;         /* [H d, r], [H dv, r] */
    struct mega_norm q_norm, kv_norm; /* of the latents, if asked for */
};

/* Declares the parameters below the present prefix; `q`: the name of a query projection. */
void mega_attention_latent_build(mega_build *b, struct mega_attention_latent *m,
    const struct mega_attention_options *options, const char *q);

/* o [B, T, H dv]. args->z: what all is made from. */
mega_tensor *mega_attention_latent_run(mega_run *r, const struct mega_attention_latent *m,
    const struct mega_attention_score *s, const struct mega_attention_options *options,
    struct mega_attention_score_args *args);

/* Refuses what does not go with it, by name. */
mega_status mega_attention_latent_check(const struct mega_attention_options *options);

#endif
