/* The Transformer with all its options (Vaswani et al., 2017, and what came after). */
#include "model/transformer_decoder.h"
#include "model/transformer_options.h"

static struct mega_decoder_shape shape(const void *options)
{
    return mega_transformer_shape(options);
}

static void *build(mega_build *b, const void *options, const struct mega_vocabulary *v)
{
    const struct mega_transformer_options *o = options;
    return mega_transformer_new(b, *o, v);
}

const struct mega_decoder_type mega_decoder_transformer = {
    .name = "transformer",
    .title = "Transformer",
    .options = mega_transformer_table,
    .options_size = sizeof(struct mega_transformer_options),
    .shape = shape,
    .build = build,
    MEGA_TRANSFORMER_RUNS,
};
