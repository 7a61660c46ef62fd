/* Parameters of a layer with fewer units from those of one with more (heads.h says what goes
 * with a unit): rows and columns of projections, cut; gates folded into what reads them, or
 * copied. Each refuses units that the old layer has not, as those of layer `layer`. */
#ifndef MEGA_MODEL_CUT_H
#define MEGA_MODEL_CUT_H

#include "layer/attention.h"
#include "layer/gated_attention.h"
#include "layer/megalodon.h"
#include "layer/mlp.h"

mega_status mega_cut_attention(const struct mega_attention *old,
    const struct mega_attention *new, int64_t layer, bool fold);
mega_status mega_cut_megalodon(const struct mega_megalodon_attention *old,
    const struct mega_megalodon_attention *new, int64_t layer, bool fold);
mega_status mega_cut_mega(const struct mega_gated_attention *old,
    const struct mega_gated_attention *new, int64_t layer, bool fold);
mega_status mega_cut_mlp(
    const struct mega_mlp *old, const struct mega_mlp *new, int64_t layer, bool fold);

#endif
