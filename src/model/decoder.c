#include "model/decoder.h"

#define X(name) extern const struct mega_decoder_type mega_decoder_##name;
#include "model/decoders.def"
#undef X

#define X(name) &mega_decoder_##name,
const struct mega_decoder_type *const mega_decoders[] = {
#include "model/decoders.def"
    NULL,
};
#undef X
