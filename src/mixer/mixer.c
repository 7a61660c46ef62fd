#include "mixer/mixer.h"

#define X(name) extern const struct mega_mixer mega_mixer_##name;
#include "mixer/mixers.def"
#undef X

#define X(name) &mega_mixer_##name,
const struct mega_mixer *const mega_mixers[] = {
#include "mixer/mixers.def"
    NULL,
};
#undef X
