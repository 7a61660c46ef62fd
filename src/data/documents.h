/* Documents of text files, piece by piece: a file is never held as a whole. */
#ifndef MEGA_DATA_DOCUMENTS_H
#define MEGA_DATA_DOCUMENTS_H

#include "base/text.h"
#include "data/corpus.h"

/* Where documents go. Bytes of the open document come in any number of pieces (none: an empty
 * one), `end` closes it. */
struct mega_document_sink {
    mega_status (*take)(void *arg, const char *bytes, size_t n);
    mega_status (*end)(void *arg);
    void *arg;
};

struct mega_document_layout {
    enum mega_corpus_format format; /* neither AUTO nor INDEXED */
    const char *text_field;         /* JSONL */
    const char *separator;          /* SEPARATOR; not empty */
};

/* Reads a file (plain or gzip; "-": standard input) to its end. *bytes: how many it held,
 * unpacked; 0 gives no document. */
mega_status mega_documents_read(const char *path, const struct mega_document_layout *layout,
    const struct mega_document_sink *sink, int64_t *bytes);

/* ---- for the formats ---- */

/* One reader of a file; it gets the bytes in pieces of any size, at last n = 0. */
struct mega_document_reader {
    const char *name; /* of the file, for messages */
    const struct mega_document_layout *layout;
    struct mega_document_sink sink;
    bool open;             /* something of a document was delivered */
    struct mega_text held; /* bytes whose meaning the next piece decides */
    int64_t line;          /* JSONL */
    bool blank;            /* paragraphs: the line so far is blank */
};
void mega_document_reader_done(struct mega_document_reader *r);
mega_status mega_document_piece(struct mega_document_reader *r, const char *bytes, size_t n);

#endif
