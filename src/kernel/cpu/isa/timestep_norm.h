/* The timestep norm kernel's way back, for the table in timestep_norm.c. */
#ifndef MEGA_KERNEL_CPU_ISA_TIMESTEP_NORM_H
#define MEGA_KERNEL_CPU_ISA_TIMESTEP_NORM_H

#include "kernel/cpu/vector.h"
#include "op/op.h"

void MEGA_ISA_NAME(mega_timestep_norm_backward)(
    const struct mega_call *c, struct mega_grads *g);

#endif
