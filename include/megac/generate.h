/* Generating: a language model continues texts.
 *
 *     mega_context *c;
 *     mega_generator *g;
 *     if (mega_context_new(&c, NULL) || mega_generator_open(&g, c, "model-folder") ||
 *         mega_generator_continue(g, "Once upon", 9, NULL, print, stdout))
 *         fprintf(stderr, "%s\n", mega_message());
 */
#ifndef MEGAC_GENERATE_H
#define MEGAC_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "megac/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why a text ended. */
enum mega_ending {
    MEGA_ENDING_NONE,       /* it has not */
    MEGA_ENDING_TOKENS,     /* as many new tokens as asked for */
    MEGA_ENDING_END,        /* the model's end token */
    MEGA_ENDING_STOP,       /* a stop string */
    MEGA_ENDING_CONTEXT,    /* the context is full */
    MEGA_ENDING_INTERRUPTED /* the listener said so */
};

#ifdef __cplusplus
}
#endif
#endif
