/* From token ids to the stream (spec: slot M1): lookup, absolute positions, types, norm,
 * dropout, projection; and the learned places that stand before the text. */
#ifndef MEGA_MODEL_TRANSFORMER_EMBEDDING_H
#define MEGA_MODEL_TRANSFORMER_EMBEDDING_H

#include "base/option.h"
#include "layer/dropout.h"
#include "layer/inserted.h"
#include "layer/norm.h"
#include "layer/positions.h"

struct mega_embedding_options {
    int64_t width;    /* De; 0: D */
    double scale;     /* of the looked-up row; 0: 1, -1: sqrt(D) */
    double dropout;   /* 0: as dropout */
    double gradient;  /* share of the gradient that reaches the embedding; 0: all */
    bool norm;        /* after positions and types */
    bool fixed;       /* rows of the tables count by their direction alone (FixNorm) */
    bool fixed_scale; /* times one learned number */
    int64_t types;    /* of places, each with a learned vector */
    int64_t memory, memory_every, class_tokens;
    double memory_std;
};

#define MEGA_EMBEDDING_FIELD(at, member)                                                       \
    ((at) + offsetof(struct mega_embedding_options, member))
#define MEGA_EMBEDDING_OPTIONS(at)                                                             \
    { "emb_dim", MEGA_OPTION_INT, MEGA_EMBEDDING_FIELD(at, width), "0", 0, 1 << 20, NULL, "N", \
        "width of the embedding, which is then projected to D; 0: D", 0 },                     \
        { "embed_scale", MEGA_OPTION_REAL, MEGA_EMBEDDING_FIELD(at, scale), "1", -1, 1e6,      \
            NULL, "X", "factor of a token's row, before positions; -1: sqrt(D)", 0 },          \
        { "emb_dropout", MEGA_OPTION_REAL, MEGA_EMBEDDING_FIELD(at, dropout), "0", 0, 0.999,   \
            NULL, "P", "dropout of embeddings; 0: as dropout", 0 },                            \
        { "emb_frac_gradient", MEGA_OPTION_REAL, MEGA_EMBEDDING_FIELD(at, gradient), "1", 0,   \
            1, NULL, "X", "share of the gradient that reaches the embedding", 0 },             \
        { "post_emb_norm", MEGA_OPTION_BOOL, MEGA_EMBEDDING_FIELD(at, norm), "false", 0, 0,    \
            NULL, NULL, "norm after the embedding", 0 },                                       \
        { "l2norm_embed", MEGA_OPTION_BOOL, MEGA_EMBEDDING_FIELD(at, fixed), "false", 0, 0,    \
            NULL, NULL, "rows of the tables are divided by their lengths (FixNorm)", 0 },      \
        { "l2norm_embed_scale", MEGA_OPTION_BOOL, MEGA_EMBEDDING_FIELD(at, fixed_scale),       \
            "false", 0, 0, NULL, NULL, "and multiplied with one learned number", 0 },          \
        { "type_emb", MEGA_OPTION_INT, MEGA_EMBEDDING_FIELD(at, types), "0", 0, 1 << 20, NULL, \
            "N", "types that a place may have (token types of BERT); 0: none", 0 },            \
        { "num_memory_tokens", MEGA_OPTION_INT, MEGA_EMBEDDING_FIELD(at, memory), "0", 0,      \
            1 << 16, NULL, "N", "learned places before the text", 0 },                         \
        { "memory_every", MEGA_OPTION_INT, MEGA_EMBEDDING_FIELD(at, memory_every), "0", 0,     \
            1 << 20, NULL, "N", "and again before every so many places; 0: once", 0 },         \
    {                                                                                          \
        "memory_init_std", MEGA_OPTION_REAL, MEGA_EMBEDDING_FIELD(at, memory_std), "0.02", 0,  \
            100, NULL, "X", "standard deviation of their first values", 0                      \
    }

/* What the embedding is given. */
struct mega_transformer_inputs {
    mega_tensor *ids;     /* [B, T] I32 */
    mega_tensor *numbers; /* or [B, T] F32: one real number a place */
    mega_tensor *types;   /* [B, T] I32; NULL: all of type 0 */
    mega_tensor
        *embedded;        /* [B, T, De], added to what is looked up; without ids in its place */
    mega_tensor *context; /* [B, S, Dc], with its rows, for cross-attention */
    const struct mega_rows *context_rows;
    mega_tensor *condition; /* [B, T, Dcond] of adaptive norms */
};

struct mega_transformer_embedding {
    struct mega_embedding_options options;
    int64_t width, out; /* De, D */
    mega_tensor *table; /* [V, De]; or of numbers: */
    mega_tensor *number_weight, *number_bias;
    mega_tensor *types;       /* [types, De] */
    mega_tensor *fixed_scale; /* [1] or NULL */
    struct mega_positions positions;
    bool has_norm, segments;
    struct mega_norm norm;
    struct mega_dropout drop;
    mega_tensor *proj, *proj_bias; /* [D, De], [D] or NULL */
    mega_tensor *memory, *classes; /* [r, D], [c, D] or NULL */
};

/* What of the stack's options an embedding needs beside its own. */
struct mega_embedding_place {
    int64_t vocabulary, width, longest;
    mega_tensor *table; /* of another model; NULL: one of its own */
    bool numbers, causal;
    bool segments; /* with memories of earlier ones: memory tokens begin each of them */
    int positions; /* enum mega_positions_type */
    double position_scale, dropout;
    struct mega_norm_options norm;
};

void mega_transformer_embedding_build(mega_build *b, struct mega_transformer_embedding *e,
    const struct mega_embedding_options *options, const struct mega_embedding_place *place);

/* The places that were put in, so that they can be taken out again. */
struct mega_embedded {
    mega_tensor *x; /* [B, T', D] */
    const struct mega_rows *rows;
    struct mega_inserted classes, memory;
};
void mega_transformer_embedding_run(mega_run *r, const struct mega_transformer_embedding *e,
    const struct mega_transformer_inputs *in, const struct mega_rows *rows,
    struct mega_embedded *out);

/* e / |e| of the rows of a table or a state. */
mega_tensor *mega_unit_rows(mega_run *r, mega_tensor *x);

#endif
