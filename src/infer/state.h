/* Texts under way in a file: what a composer needs to go on exactly where another one stopped.
 *
 * A safetensors file: of each text its ids and where it stands, of its row of the stream every
 * cell (keys and values only as far as attention looks back). Metadata name the model by a hash
 * of its parameters. The file is written whole or not at all. */
#ifndef MEGA_INFER_STATE_H
#define MEGA_INFER_STATE_H

#include "infer/composer.h"

/* `model`: how people call it. Every text must still have its slot: no more of them than
 * options.rows. */
mega_status mega_state_save(const char *path, const struct mega_composer *c, const char *model);

/* Into a composer without texts. Refuses the state of another model, and a file that does not
 * fit this one, by name. */
mega_status mega_state_load(const char *path, struct mega_composer *c, const char *model);

/* The same from bytes, which stay borrowed during the call; `name` stands in messages. */
mega_status mega_state_parse(
    const char *name, const void *bytes, size_t n, struct mega_composer *c, const char *model);

#endif
