/* The header of a file of llama2.c as a configuration: all else is the same in every such file.
 */
#include "model/foreign_config.h"
#include "op/contracts.h"

void mega_foreign_config_llama2c(
    struct mega_foreign_config *c, const struct mega_llama2c_header *h)
{
    int64_t head = h->width / h->heads;
    *c = (struct mega_foreign_config){ .options = { .vocabulary = h->vocabulary,
                                           .width = h->width,
                                           .plan = { .layers = h->layers },
                                           .ffn = { .each = h->ffn },
                                           .longest = h->longest,
                                           .heads = { .each = h->heads },
                                           .kv_heads = { .each = h->kv_heads },
                                           .keys = { .each = head },
                                           .values = { .each = head },
                                           .chunk = { .each = -1 },
                                           .attention.rotary = { .dims = head,
                                               .base = 10000,
                                               .factor = 1,
                                               .interleaved = true },
                                           .position_scale = 1,
                                           .act = MEGA_ACT_SILU,
                                           .gated = true,
                                           .norm = MEGA_RMSNORM,
                                           .norm_eps = 1e-5,
                                           .norm_affine = true,
                                           .causal = true,
                                           .tied = h->tied },
        .names = &mega_names_meta_llama,
        .bos = 1,
        .eos = 2,
        .pad = -1 };
}
