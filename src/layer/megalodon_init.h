/* How the weights of a Megalodon layer's projections begin. */
#ifndef MEGA_LAYER_MEGALODON_INIT_H
#define MEGA_LAYER_MEGALODON_INIT_H

#include "layer/megalodon.h"

struct mega_init mega_megalodon_init_of(const struct mega_megalodon_options *o);

#endif
