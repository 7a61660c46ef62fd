/* Predicting: a model folder answers texts.
 *
 *     mega_context *c;
 *     mega_predictor *p;
 *     struct mega_prediction answer;
 *     if (mega_context_new(&c, NULL) || mega_predictor_open(&p, c, "model-folder") ||
 *         mega_predictor_ask(p, "[MAX 2 [MIN 9 4 ] 3 ]", 21, &answer))
 *         fprintf(stderr, "%s\n", mega_message());
 *     else
 *         printf("%s %.3f\n", answer.label, answer.probability[answer.class_index]);
 */
#ifndef MEGAC_PREDICTOR_H
#define MEGAC_PREDICTOR_H

#include <stddef.h>

#include "megac/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mega_predictor mega_predictor;

struct mega_prediction {
    int class_index;
    const char *label;         /* its name: borrowed from the predictor */
    const double *probability; /* [classes]: borrowed, until the next question */
};

/* Opens a model folder, or a run folder (its best checkpoint). The predictor is yours to close;
 * the context must outlive it. One predictor must not be used by two threads at the same time.
 */
mega_status mega_predictor_open(mega_predictor **out, mega_context *c, const char *folder);
void mega_predictor_close(mega_predictor *p);

/* Classifies one text of `size` bytes: as the model's task reads it (a printed tree for
 * ListOps, any bytes for text). */
mega_status mega_predictor_ask(
    mega_predictor *p, const char *text, size_t size, struct mega_prediction *out);

/* The classes, in the order of `probability`. */
int mega_predictor_classes(const mega_predictor *p);
const char *mega_predictor_label(const mega_predictor *p, int class_index);

#ifdef __cplusplus
}
#endif
#endif
