/* Corpora of language models: files of texts or ids, as one long row of tokens with documents.
 *
 * Texts are encoded once, into a file of tokens that is mapped: what a corpus holds in memory
 * does not grow with it. An open corpus never changes: any number of threads may read it. */
#ifndef MEGA_DATA_CORPUS_H
#define MEGA_DATA_CORPUS_H

#include "base/log.h"
#include "base/option.h"
#include "data/text_encoder.h"

/* How files are read. */
enum mega_corpus_format {
    MEGA_CORPUS_AUTO,       /* by the name: .jsonl, .ndjson; .idx, .bin; else `file` */
    MEGA_CORPUS_FILE,       /* a file is a document, byte for byte */
    MEGA_CORPUS_LINES,      /* a line is; LF or CRLF ends it */
    MEGA_CORPUS_PARAGRAPHS, /* blank lines stand between documents */
    MEGA_CORPUS_SEPARATOR,  /* a text stands between documents */
    MEGA_CORPUS_JSONL,      /* a field of the JSON object on each line is */
    MEGA_CORPUS_INDEXED     /* fairseq's (and Megatron's) .idx and .bin: ids */
};
#define MEGA_CORPUS_FORMATS "auto|file|lines|paragraphs|separator|jsonl|indexed"

/* How tokens become rows. */
enum mega_text_rows_kind {
    MEGA_TEXT_NONE,         /* documents joined, cut every `length` tokens */
    MEGA_TEXT_EOS,          /* a document a row, however long */
    MEGA_TEXT_COMPLETE,     /* runs of whole documents of at most `length` tokens; a longer one
                               is a row of its own */
    MEGA_TEXT_COMPLETE_DOC, /* the same; empty documents (one token) end a row, and are dropped
                             */
    MEGA_TEXT_COMPLETE_DOC_WITH_BOUNDARY, /* or kept at its end */
    MEGA_TEXT_PACKED,   /* whole documents beside one another, nothing seen across; longer ones
                           in pieces of `length` */
    MEGA_TEXT_DOCUMENT, /* a document a row, longer ones in pieces of `length` */
};
#define MEGA_TEXT_ROWS                                                                         \
    "none|eos|complete|complete_doc|complete_doc_with_boundary|packed|document"

enum mega_text_end { MEGA_END_NONE, MEGA_END_EOS, MEGA_END_BOS, MEGA_END_AUTO };
enum mega_text_start { MEGA_START_AUTO, MEGA_START_NONE, MEGA_START_EOS, MEGA_START_BOS };
enum mega_text_evaluation {
    MEGA_EVALUATE_ROWS,
    MEGA_EVALUATE_STREAM,
    MEGA_EVALUATE_WINDOW,
    MEGA_EVALUATE_AUTO
};

/* The part of the recipe's section `task` that language models share. */
struct mega_corpus_options {
    struct mega_texts train, valid, test; /* files, folders, patterns */
    int format;                           /* enum mega_corpus_format */
    const char *text_field, *separator;
    double hold_out, test_share; /* of the tokens of train, from its end */
    int end_of_document;         /* enum mega_text_end */
    int start;                   /* enum mega_text_start */
    const char *cache;           /* a folder; "": the user's; "none": nothing is kept */
    int rows;                    /* enum mega_text_rows_kind */
    int64_t length;
    int64_t least, most; /* a row's length is so many times `length`, drawn for each row */
    int64_t align;       /* packed: documents begin at multiples of it */
    bool shift;          /* none: cuts lie elsewhere in every epoch */
    int evaluate;        /* enum mega_text_evaluation */
    int64_t streams;     /* stream, window: the text is cut into so many parts */
    int64_t segment;     /* stream: tokens a step; window: its size. 0: length */
    int64_t stride;      /* window: tokens that each scores; 0: half of it */
};
extern const struct mega_option mega_corpus_options[];

/* How documents end, auto settled: by eos where the tokenizer has one, else by nothing. */
enum mega_text_end mega_text_end_of(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e);

/* What stands before a text, auto settled: what ends documents. */
enum mega_text_start mega_text_start_of(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e);

struct mega_corpus;

/* Opens files, in order of their names' bytes within each pattern. Empty files are remarked
 * upon through `log` and skipped; an empty corpus, ids beyond the vocabulary, damaged files are
 * refused. `what` names it in messages ("task.train"). `log` may be NULL. */
mega_status mega_corpus_open(struct mega_corpus **out, const char *what,
    const struct mega_texts *files, const struct mega_corpus_options *options,
    const struct mega_text_encoder *encoder, const struct mega_log *log);
void mega_corpus_close(struct mega_corpus *c); /* NULL is fine */

int64_t mega_corpus_tokens(const struct mega_corpus *c); /* ends of documents included */
int64_t mega_corpus_documents(const struct mega_corpus *c);
int64_t mega_corpus_bytes(const struct mega_corpus *c); /* of text; -1: not known (ids) */
uint64_t mega_corpus_hash(const struct mega_corpus *c); /* of tokens and documents */
bool mega_corpus_was_cached(const struct mega_corpus *c);

/* The token where document i begins, i = 0 ... documents; the document that a token lies in. */
int64_t mega_corpus_document(const struct mega_corpus *c, int64_t i);
int64_t mega_corpus_document_at(const struct mega_corpus *c, int64_t token);

/* Copies n tokens from place `from` on. */
void mega_corpus_read(const struct mega_corpus *c, int64_t from, int64_t n, int32_t *out);

/* Bytes of text before a token; exact at ends of documents (and every 64 KiB or so of a long
 * one), in proportion between. 0 where bytes are not known. */
int64_t mega_corpus_bytes_before(const struct mega_corpus *c, int64_t token);

/* ---- splits ---- */

/* A stretch of a corpus; it begins like a document wherever it begins. */
struct mega_slice {
    const struct mega_corpus *corpus;
    int64_t from, to; /* tokens */
};

/* The text by position: train, then the share that validates, then the share that tests. A cut
 * moves to the beginning of the document it lies in, unless that one is longer than the share
 * behind the cut. A share that comes out empty is refused. */
mega_status mega_corpus_share(const struct mega_corpus *c, const char *what, double hold_out,
    double test_share, struct mega_slice out[3]);

/* The three splits of a recipe, opened when they are first asked for. */
struct mega_corpora;
mega_status mega_corpora_open(struct mega_corpora **out,
    const struct mega_corpus_options *options, const struct mega_text_encoder *encoder,
    const struct mega_log *log); /* all three are copied or borrowed: keep what they point at */
void mega_corpora_close(struct mega_corpora *c);

/* split: 0 train, 1 valid, 2 test (the order of enum mega_split). valid and test come from
 * their own files, else from the end of train (hold_out, test_share); a split that has neither
 * is refused. */
mega_status mega_corpora_slice(struct mega_corpora *c, int split, struct mega_slice *out);

#endif
