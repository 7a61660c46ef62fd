#include "model/transformer_options.h"

#include "op/contracts.h"

#define FIELD(member) offsetof(struct mega_transformer_options, member)

const struct mega_option mega_transformer_encoder_table[] = {
#include "model/transformer_rows.def"
    { 0 },
};

#define WITH_HEAD
const struct mega_option mega_transformer_table[] = {
#include "model/transformer_rows.def"
    { 0 },
};
