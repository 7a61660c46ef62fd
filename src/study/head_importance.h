/* How much heads matter, by numbers of the model alone or with data: the larger, the more. */
#ifndef MEGA_STUDY_HEAD_IMPORTANCE_H
#define MEGA_STUDY_HEAD_IMPORTANCE_H

#include "study/head_table.h"
#include "task/job.h"

/* Where the data come from: texts of a split, at most so many (0: all). */
struct mega_study_data {
    mega_run *run;
    struct mega_job *job;
    enum mega_split split;
    int64_t texts;
};

/* Calls `see` with each text as a batch of its own, until it fails. */
mega_status mega_study_each(const struct mega_study_data *d,
    mega_status (*see)(void *arg, struct mega_batch *b), void *arg);

/* The loss per row or token of a model, over at most d->texts texts. */
mega_status mega_study_loss(const struct mega_study_data *d, const mega_model *m, double *loss);

/* A model whose heads have fixed gates of 1: a factor xi of each head. The old one's gates are
 * in its projections. */
mega_status mega_study_gated(mega_model **out, const mega_model *m);

/* Sets xi of a head, by its original number; heads that are not there stay so. */
void mega_study_set_gate(mega_model *gated, int64_t layer, int64_t head, double xi);

/* |dL(text)/dxi|, summed over texts, divided by the places that count (Michel et al., 2019);
 * `signed`: without the absolute value: minus it is what closing a head would add to the loss,
 * to first order. Both at the present xi of `gated` (mega_study_gated). */
mega_status mega_study_gradient(const struct mega_study_data *d, mega_model *gated,
    struct mega_head_table *absolute, struct mega_head_table *with_sign);

/* What closing each head alone adds to the loss. */
mega_status mega_study_ablation(
    const struct mega_study_data *d, mega_model *gated, struct mega_head_table *out);

/* The norm of a head's product of value and output projection, as a product of their norms. */
mega_status mega_study_weight(const mega_model *m, struct mega_head_table *out);

/* The gates of evaluation, all that a head is multiplied with, and log_a of its own concrete
 * one (else 0). Refuses models without gates. */
mega_status mega_study_gates(
    const mega_model *m, struct mega_head_table *gate, struct mega_head_table *log_a);

#endif
