/* A stepper: rows of text on their way through a model, a few new tokens at a time.
 *
 * Generation, beam search and scoring see a model only so. Whoever has another kind of model
 * (a decoder that looks at a source text) offers the same functions. */
#ifndef MEGA_INFER_STEPPER_H
#define MEGA_INFER_STEPPER_H

#include "graph/run.h"

struct mega_stepper {
    void *self;
    int64_t rows, vocabulary;
    int64_t piece; /* new places of a row in one call, at most */
    int64_t room;  /* places that a row can hold; 0: any number */

    /* len[b] new ids (0 ... T) of each row, from the left of ids [rows, T]. `logit` (NULL: not
     * wanted) receives for each row that got new ids the logits [V] after the last of them,
     * NULL for the others: borrowed until the next call. */
    mega_status (*feed)(
        void *self, const int32_t **ids, int64_t T, const int32_t *len, const float **logit);

    /* Row b becomes what row from[b] was. */
    mega_status (*reorder)(void *self, const int32_t *from);
};

/* A language model as functions: from ids [B, T] I32 to features [B, T, D], from those to
 * logits. */
struct mega_step_model {
    const void *model;
    const struct mega_store *store;
    mega_tensor *(*features)(
        mega_run *r, const void *model, mega_tensor *ids, const struct mega_rows *rows);
    mega_tensor *(*logits)(
        mega_run *r, const void *model, mega_tensor *features); /* NULL: features are they */
    int64_t vocabulary;
    int64_t longest;         /* places that a text can have by its positions; 0: any number */
    int64_t chunk;           /* of attention; 0: none */
    int64_t truncate_chunks; /* see infer/truncation.h; 0: norms remember the whole text */
};

/* True if attention looks back to the start of the text: its rows need room. */
bool mega_step_model_unlimited(const struct mega_step_model *m);

/* Rows of a stream on their way through such a model. */
struct mega_model_stepper {
    const struct mega_step_model *model;
    mega_run *run;
    mega_stream *stream;
    int64_t piece;
    int32_t *ids;                      /* the piece under way */
    int64_t fed;                       /* places of all rows together since it was made */
    struct mega_model_stepper *recent; /* of the truncation; made when it is needed */
};

/* `room`: places of unlimited attention; other models need none. The run must not be used by
 * others between a call of feed and the last look at its logits. */
mega_status mega_model_stepper_init(struct mega_model_stepper *s,
    const struct mega_step_model *model, mega_run *run, int64_t rows, int64_t piece,
    int64_t room);
void mega_model_stepper_done(struct mega_model_stepper *s);

/* Its functions; the stepper borrows `s`. */
struct mega_stepper mega_model_stepper_of(struct mega_model_stepper *s);

/* The natural logarithm of the probability of target[t] (at least 0) after ids[0 ... t], for
 * the n ids of a single row's next piece, in `out`. */
mega_status mega_model_stepper_score(struct mega_model_stepper *s, const int32_t *ids,
    int64_t n, const int32_t *target, double *out);

#endif
