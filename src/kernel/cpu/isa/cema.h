/* The complex EMA kernel's way back, for the table in cema_forward.c. */
#ifndef MEGA_KERNEL_CPU_ISA_CEMA_H
#define MEGA_KERNEL_CPU_ISA_CEMA_H

#include "kernel/cpu/vector.h"
#include "op/op.h"

void MEGA_ISA_NAME(mega_cema_backward)(const struct mega_call *c, struct mega_grads *g);

#endif
