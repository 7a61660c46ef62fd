/* The attention kernel's way back, for the table in attention_forward.c. */
#ifndef MEGA_KERNEL_CPU_ISA_ATTENTION_H
#define MEGA_KERNEL_CPU_ISA_ATTENTION_H

#include "kernel/cpu/vector.h"
#include "op/op.h"

void MEGA_ISA_NAME(mega_attention_backward)(const struct mega_call *c, struct mega_grads *g);

#endif
