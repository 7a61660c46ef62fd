/* Batches of language models: which tokens meet in which batch, as a pure function of corpus,
 * settings, seed and epoch, and each batch on the host.
 *
 * Inputs are tokens, targets the next ones. What a row's first input is: within a document the
 * true token before the first target; where a document (or a slice) begins, the start id. With
 * no start id the rows of joined documents take the token before, whatever its document, and
 * documents of their own begin with their first token as an input that nobody predicts. */
#ifndef MEGA_DATA_TEXT_BATCHES_H
#define MEGA_DATA_TEXT_BATCHES_H

#include "data/batches.h"
#include "data/corpus.h"

struct mega_text_batching {
    struct mega_batching batching; /* seed, rows, tokens, accumulate, bucket, shuffle, multiple,
                                      longest (rows beyond it are refused; 0: none) */
    int rows;                      /* enum mega_text_rows_kind */
    int64_t length, least, most, align;
    bool shift;
    int64_t parts; /* > 0: a row is one of so many parts of the text, `length` is not heeded */
    int64_t segment; /* > 0: rows come in steps of so many places, state carried */
    int64_t window,
        stride; /* > 0: rows become windows, of which the last `stride` are scored */
    int32_t start, end, pad; /* start, end -1: none. A document of `end` alone is empty */
    int64_t before, after;   /* places left free around each row, in packed ones around each
                                document: those of a frame, beyond `length` */
};

/* What a recipe says: for training (shuffled), for evaluation (in order, by `evaluate`).
 * `batching` gives the rest. */
mega_status mega_text_batching_train(struct mega_text_batching *out,
    const struct mega_corpus_options *o, const struct mega_text_encoder *e,
    const struct mega_batching *batching);
mega_status mega_text_batching_evaluate(struct mega_text_batching *out,
    const struct mega_corpus_options *o, const struct mega_text_encoder *e,
    const struct mega_batching *batching);

struct mega_text_batches;

/* The batches of one epoch. A text shorter than one row is refused when it is shuffled
 * (training). What was opened never changes: threads may fill batches at the same time. */
mega_status mega_text_batches_open(struct mega_text_batches **out, const char *what,
    const struct mega_slice *slice, const struct mega_text_batching *batching, int64_t epoch);
void mega_text_batches_close(struct mega_text_batches *b); /* NULL is fine */

int64_t mega_text_batches_count(const struct mega_text_batches *b);
int64_t mega_text_batches_rows(const struct mega_text_batches *b);
int64_t mega_text_batches_updates(const struct mega_text_batches *b);
void mega_text_batches_largest(
    const struct mega_text_batches *b, int64_t *rows, int64_t *places);

/* What is read and what is not, of the whole epoch. */
struct mega_text_totals {
    int64_t tokens;  /* of the slice */
    int64_t targets; /* scored, each once */
    int64_t
        unscored; /* begin a document (or the slice) without a start id, or are its only one */
    int64_t dropped; /* empty documents of complete_doc */
    int64_t places;  /* of all batches, padding included */
    int64_t bytes;   /* of text that the targets are; 0: not known */
};
struct mega_text_totals mega_text_batches_totals(const struct mega_text_batches *b);

/* What a batch holds, or an update of `accumulate` batches that begins with `batch`, without
 * reading any token. */
struct mega_text_units {
    int64_t passes, rows;
    int64_t tokens;  /* inputs, without padding */
    int64_t targets; /* never 0, except in steps of a stream */
    int64_t bytes;
    bool last; /* the epoch ends with it */
};
struct mega_text_units mega_text_batches_units(
    const struct mega_text_batches *b, int64_t batch, int64_t passes);

/* One batch on the host. Zeroed at first; buffers are kept and grow. */
struct mega_text_batch {
    int64_t B, T;
    int32_t *id;     /* [B, T] inputs, padded */
    int32_t *target; /* [B, T]; -1: not scored */
    int32_t *len;    /* [B] places in use; 0 where a stream has ended */
    int32_t *doc;    /* [B, T] place where the document began (mega_rows.doc), or NULL: rows of
                        one stretch */
    int32_t *number; /* [B] of the row in its update (mega_rows.number) */
    int32_t *fresh;  /* [B] 1: the row begins here (mega_rows.fresh) */
    int32_t *place;  /* [B] places of the row that came in earlier steps */
    int64_t *row;    /* [B] row of the epoch's list */
    bool begins, ends; /* first and last step of these rows; both true without steps */
    struct mega_text_units units;
    int64_t room, row_room, doc_room;
    int32_t *doc_kept; /* the buffer behind doc */
};
mega_status mega_text_batch_fill(
    struct mega_text_batch *h, const struct mega_text_batches *b, int64_t batch);
void mega_text_batch_done(struct mega_text_batch *h);

#endif
