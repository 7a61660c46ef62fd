/* A text on its way through a model to its logits, in double: the passes of its towers and, of
 * a classifier, pooling and head. */
#ifndef MEGA_STUDY_READING_H
#define MEGA_STUDY_READING_H

#include "study/forward.h"

struct mega_study_reading {
    const mega_model *model;
    struct mega_study_forward pass[2]; /* of each tower; the same parameters */
    int64_t passes;
    int64_t predictions, classes; /* a language model predicts at every place, V tokens */
    int64_t *at; /* [predictions] where: of a masked model, whose hidden places they are */
    struct mega_study_linear
        hidden[MEGA_HEAD_MOST]; /* of a classifier's head, a masked one's */
    int64_t n_hidden;
    struct mega_study_norm norm; /* behind the masked one's hidden layer */
    struct mega_study_linear out;
    /* pooled texts, then what each hidden layer gives; of a masked model what its hidden layer
       and its norm give at every place [T, D] */
    double *inside[MEGA_HEAD_MOST + 1];
};

/* Refuses models that it does not know, by name. */
mega_status mega_study_reading_new(struct mega_study_reading *s, const mega_model *m);
void mega_study_reading_free(struct mega_study_reading *s);

/* Reads the first text of a batch of one as the model embeds it, and holds its logits against
 * those of the model: what is not known to this pass is refused there. A masked model predicts
 * where the batch has targets. */
mega_status mega_study_reading_run(
    struct mega_study_reading *s, mega_run *r, struct mega_batch *b);

/* The place that a prediction is read off; of a classifier 0. */
int64_t mega_study_place(const struct mega_study_reading *s, int64_t prediction);

/* A logit, and the class (token) that gets most. */
double mega_study_logit(const struct mega_study_reading *s, int64_t prediction, int64_t class);
int64_t mega_study_predicted(const struct mega_study_reading *s, int64_t prediction);

/* The row that the output layer reads. */
const double *mega_study_last_row(const struct mega_study_reading *s, int64_t prediction);

#endif
