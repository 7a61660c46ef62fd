/* One update of the weights: forward and backward passes, norm, clip, Adam. */
#ifndef MEGA_TRAIN_UPDATE_H
#define MEGA_TRAIN_UPDATE_H

#include "model/model.h"
#include "optim/adam.h"
#include "task/classify.h"

/* What turns gradients into weights. */
struct mega_optimizer {
    struct mega_work *work;
    mega_model *model;
    struct mega_adam adam;
    struct mega_span *span; /* one for each parameter, in the store's order */
    bool *span_frozen;      /* which of them do not train */
    int n_spans;
    struct mega_profile *profile; /* or NULL */
};

mega_status mega_optimizer_init(struct mega_optimizer *o, struct mega_work *work, mega_model *m,
    const struct mega_adam *adam);
void mega_optimizer_done(struct mega_optimizer *o);

/* The norm of the present gradients (already divided by the update's units), and one step with
 * the rate `lr`. */
mega_status mega_optimizer_norm(struct mega_optimizer *o, double *norm);
void mega_optimizer_step(struct mega_optimizer *o, double lr, double norm);

/* One pass: adds the gradient of (summed loss / units) to the parameters' gradients; *loss: the
 * summed loss. `first_row` numbers the pass's rows within the update. `mode` adds to TRAIN and
 * GRAD. */
mega_status mega_pass_run(mega_run *r, const mega_model *m, struct mega_batch *b,
    struct mega_now now, double units, int64_t first_row, unsigned mode, double *loss);

/* FLOPs of r's last pass, forward and backward, as the models' arithmetic counts them
 * (nothing recomputed). */
double mega_pass_flops(const mega_run *r);

#endif
