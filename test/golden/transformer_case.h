/* Cases of whole Transformers, from tokens to logits: the names and settings of their files are
 * those of spec/variants.md, section 9.2. */
#ifndef MEGA_TEST_TRANSFORMER_CASE_H
#define MEGA_TEST_TRANSFORMER_CASE_H

#include "golden/case.h"
#include "model/transformer.h"

struct transformer_case {
    struct golden_case *c;
    struct mega_transformer_options options;
    struct mega_transformer model;
    struct mega_store store;
    mega_run *run;
    int64_t width, heads, kv_heads, keys, values; /* D, H, G, d, dv of the file */
    double norm_offset;                           /* gains are stored less this */
};

/* Fills the options from the cfg keys; what the library has no option for makes the case
 * unsupported, by name. */
void transformer_case_options(struct transformer_case *t);

/* Fills the parameters from the file's. */
void transformer_case_load(struct transformer_case *t);

/* Compares every gradient of a parameter that the file has. */
void transformer_case_gradients(struct transformer_case *t);

#endif
