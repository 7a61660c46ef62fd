/* One pass's worth of rows: views over host memory that someone else keeps, and the loss that a
 * model has on them. */
#ifndef MEGA_TASK_BATCH_H
#define MEGA_TASK_BATCH_H

#include "data/batches.h"
#include "data/text_batches.h"
#include "model/model.h"

struct mega_batch {
    struct mega_rows rows[2];
    mega_tensor text[2];  /* ids [B, T] I32; the second text of pairs */
    mega_tensor target;   /* classes [B] I32; of a language model the next tokens [B * T] I32,
                             of a masked one the hidden ones; negative: not counted */
    int64_t n;            /* rows */
    int64_t places;       /* B * T of all towers: what the pass computes */
    int64_t tokens;       /* without padding; of a language model the targets that count */
    int64_t bytes;        /* of text that these targets stand for; 0: not known */
    double smoothing;     /* label smoothing */
    bool begins;          /* states of a stream start anew (steps of a long text) */
    bool goes_on;         /* or go on in the next batch */
    const int64_t *index; /* [B] row of the split; NULL: rows have no numbers */
};

/* Room for a batch on the host, filled again and again: of one of two kinds. */
struct mega_host {
    bool is_text;                /* which kind lies here now */
    struct mega_host_batch rows; /* texts with classes */
    struct mega_text_batch text; /* tokens and the next ones */
};
void mega_host_done(struct mega_host *h);

/* What lies there. */
void mega_batch_view(struct mega_batch *b, const struct mega_host *host);
void mega_batch_view_rows(struct mega_batch *b, const struct mega_host_batch *rows);

/* A batch of a kind of model, without data, for dry runs. `len` [B] is borrowed. */
void mega_batch_dry(
    struct mega_batch *b, enum mega_architecture a, int64_t B, int64_t T, const int32_t *len);

/* The texts and rows as inputs of the run; rows[1] and text[1] are NULL with one tower. */
void mega_batch_enter(mega_run *r, const mega_model *m, const struct mega_batch *b,
    mega_tensor *text[2], const struct mega_rows *rows[2]);

/* The loss, summed over rows (over targets). Label smoothing only in training. */
mega_tensor *mega_batch_loss(mega_run *r, const mega_model *m, const struct mega_batch *b);

#endif
