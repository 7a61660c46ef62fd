/* The Transformer with all its options (Vaswani et al., 2017, and what came after). */
#include <string.h>

#include "model/transformer_decoder.h"
#include "model/transformer_options.h"
#include "model/transformer_rules.h"

static struct mega_decoder_shape shape(const void *options)
{
    return mega_transformer_shape(options);
}

static void *build(mega_build *b, const void *options, const struct mega_vocabulary *v)
{
    const struct mega_transformer_options *o = options;
    return mega_transformer_new(b, *o, v);
}

static mega_status check(const void *options)
{
    struct mega_transformer_options o = *(const struct mega_transformer_options *)options;
    bool types = o.plan.layer_types && strchr(o.plan.layer_types, 'c');
    o.causal = true;
    if (o.plan.cross_attend || o.plan.only_cross || types)
        return mega_fail(MEGA_BAD_ARGUMENT,
            "%s does not go with a language model: it has no context to attend to",
            types               ? "layer_types with c"
            : o.plan.only_cross ? "only_cross"
                                : "cross_attend");
    return mega_transformer_check(&o);
}

static const char *doubt(const void *options, int n)
{
    return mega_transformer_doubt(options, n);
}

const struct mega_decoder_type mega_decoder_transformer = {
    .name = "transformer",
    .title = "Transformer",
    .options = mega_transformer_table,
    .options_size = sizeof(struct mega_transformer_options),
    .shape = shape,
    .check = check,
    .doubt = doubt,
    .build = build,
    MEGA_TRANSFORMER_RUNS,
};
