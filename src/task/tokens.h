/* A tokenizer as corpora see it. */
#ifndef MEGA_TASK_TOKENS_H
#define MEGA_TASK_TOKENS_H

#include "data/text_encoder.h"
#include "megac/tokenizer.h"

/* The tokenizer stays borrowed. Texts are encoded as text: what spells a special token is none.
 */
struct mega_text_encoder mega_text_encoder_of(mega_tokenizer *t);

#endif
