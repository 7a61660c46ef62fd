/* The kernel tables: who can compute what, in order of preference.
 *
 * A machine's room (cpu/) offers kernels for the ops it is good at and nothing else;
 * each refusal falls through to the next entry, at last to the op's own reference. Adding a
 * kernel: one file, one line in that room's kernels.def. */
#ifndef MEGA_KERNEL_KERNEL_H
#define MEGA_KERNEL_KERNEL_H

#include "base/text.h"
#include "op/op.h"

/* Instruction sets in rising order; a machine that has one has those before it. */
enum mega_isa { MEGA_ISA_BASE, MEGA_ISA_AVX2, MEGA_ISA_AVX512 };

struct mega_kernel_entry {
    const char *room; /* "cpu" */
    const struct mega_op *op;
    const struct mega_kernel *kernel;
    enum mega_isa isa; /* the least that it needs */
    bool widened;      /* a float32 kernel behind conversions */
};

/* All entries in order of preference, ended by an entry whose op is NULL. Behind the kernels
 * stand those of cpu/ again, widened for bfloat16 (widen.h). */
extern const struct mega_kernel_entry mega_kernels[];

/* The best instruction set of this machine (by feature bits, never by the model's name). */
enum mega_isa mega_isa_here(void);
const char *mega_isa_name(enum mega_isa isa); /* "base", "avx2", "avx512" */

/* This machine has units that multiply matrices of bfloat16 (AMX). */
bool mega_bf16_units_here(void);
/* Its vectors multiply pairs of bfloat16 (AVX-512 BF16): cpu/pairs.h. */
bool mega_bf16_products_here(void);

/* What a context may use. */
struct mega_kernel_limits {
    enum mega_isa isa;
    const char *rooms; /* "cpu"; NULL: all; "": references only */
};

/* The first kernel that accepts `c` (under MEGA_RUN_GRAD one with a backward pass), else the
 * reference; NULL for a region that nobody takes. `refusals`, if not NULL, receives "avx2: why;
 * ..." */
const struct mega_kernel *mega_kernel_choose(const struct mega_call *c,
    const struct mega_kernel_limits *limits, struct mega_text *refusals);

#endif
