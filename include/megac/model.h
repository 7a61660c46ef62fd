/* Models: a folder with config.json and model.safetensors, in memory. */
#ifndef MEGAC_MODEL_H
#define MEGAC_MODEL_H

#include <stdint.h>

#include "megac/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mega_model mega_model;

/* Loads a model folder for evaluation; also one of another program, or its file
 * (docs/checkpoints.md). The model is yours to free; runs on different threads
 * may share it. */
mega_status mega_model_load(mega_model **out, const char *folder);
void mega_model_free(mega_model *m);

/* Trainable numbers. */
int64_t mega_model_parameters(const mega_model *m);

#ifdef __cplusplus
}
#endif
#endif
