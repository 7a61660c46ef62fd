/* The attention weights of one text, of every head, by original numbers. */
#ifndef MEGA_STUDY_HEAD_MAPS_H
#define MEGA_STUDY_HEAD_MAPS_H

#include "model/heads.h"
#include "task/batch.h"

/* Places that are no part of the text. */
enum { MEGA_PLACE_MEMORY = -1, MEGA_PLACE_CLASS = -2 };

/* How many of them a model puts before a text. */
int64_t mega_head_maps_lead(const mega_model *m);

struct mega_head_maps {
    int64_t layers, heads, T; /* heads of the widest layer; places in use */
    float *weight;            /* [layers, heads, T, T]: of query i and key j */
    bool *there;              /* [layers, heads] */
    double *gate;             /* [layers, heads]: of evaluation; 1 without gates */
    int32_t *id;              /* [T]; 0 where places are numbers; below 0: MEGA_PLACE_... */
    int32_t *from, *to;       /* [T] keys that query i sees: from <= j < to */
};

static inline float *mega_map_row(
    const struct mega_head_maps *m, int64_t layer, int64_t head, int64_t i)
{
    return m->weight + ((layer * m->heads + head) * m->T + i) * m->T;
}

/* Room for a text of T places; all weights 0. Refuses what needs more than `most` bytes. */
mega_status mega_head_maps_new(
    struct mega_head_maps *m, int64_t layers, int64_t heads, int64_t T);
void mega_head_maps_free(struct mega_head_maps *m);

/* Runs the model on a batch of one and takes the weights of its text, of a pair's first. */
mega_status mega_head_maps_take(
    struct mega_head_maps *m, mega_run *r, const mega_model *model, struct mega_batch *b);

/* Attention rollout (Abnar and Zuidema, 2020): the product of the layers' 0.5 (mean of the
 * heads, weighed by their gates) + 0.5 I, into out [T, T]; a layer without heads is I. */
mega_status mega_head_rollout(const struct mega_head_maps *m, double *out);

#endif
