/* Tokenizers: texts to ids and back.
 *
 *     mega_tokenizer *t;
 *     struct mega_ids ids = { 0 };
 *     if (mega_tokenizer_open(&t, "model-folder") ||
 *         mega_tokenizer_encode(t, text, size, NULL, &ids))
 *         fprintf(stderr, "%s\n", mega_message());
 *     ...
 *     mega_ids_done(&ids);
 *     mega_tokenizer_close(t);
 *
 * A text is bytes with a length; it may hold NULs. What is no valid UTF-8 is encoded by
 * tokenizers over bytes and refused, with its place, by those over characters. An open
 * tokenizer does not change: any number of threads may use it at the same time. */
#ifndef MEGAC_TOKENIZER_H
#define MEGAC_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "megac/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mega_tokenizer mega_tokenizer;

/* Opens a tokenizer file, or the tokenizer of a model folder, whatever its kind; "bytes" is the
 * built-in one whose ids are the bytes. What this library cannot do exactly as the tokenizer's
 * own program does is refused by name (MEGA_UNSUPPORTED). The tokenizer is yours to close. */
mega_status mega_tokenizer_open(mega_tokenizer **out, const char *path);
void mega_tokenizer_close(mega_tokenizer *t);

/* Writes the tokenizer's files into a folder, under the names by which mega_tokenizer_open
 * finds them there; the folder is made if need be. */
mega_status mega_tokenizer_save(const mega_tokenizer *t, const char *folder);

/* ---- the vocabulary ---- */

/* A word for the kind: "bytes", "byte-level BPE". Borrowed. */
const char *mega_tokenizer_kind(const mega_tokenizer *t);

/* Ids are 0 ... size - 1; some of them may be unused. */
int32_t mega_tokenizer_size(const mega_tokenizer *t);

/* The piece of an id, as the tokenizer's file writes it (for "bytes", the byte), and its
 * length. Borrowed; NULL where the id is unused or none. */
const char *mega_tokenizer_piece(const mega_tokenizer *t, int32_t id, size_t *size);

/* The id of a piece so written, or -1. */
int32_t mega_tokenizer_find(const mega_tokenizer *t, const char *piece, size_t size);

/* The ids that have a meaning of their own; -1 where the tokenizer has none. */
enum mega_special { MEGA_BOS, MEGA_EOS, MEGA_PAD, MEGA_UNK };
int32_t mega_tokenizer_special(const mega_tokenizer *t, enum mega_special which);

/* Is the id special: hidden by mega_tokenizer_decode unless asked for? */
bool mega_tokenizer_is_special(const mega_tokenizer *t, int32_t id);

/* ---- encoding ---- */

struct mega_encode_options {
    bool bos, eos; /* the begin before the text, the end after it; refused if there is none */
    bool frame;    /* what the tokenizer itself puts around a text (a template, an end of line);
                      nothing where it has no such rule */
    bool specials; /* a text that spells a special token is that token; else it is text like any
                      other, which is what data need */
    bool inside;   /* the text goes on behind an earlier part: nothing is put before its first
                      word, and a blank there stays */
};

/* Ids that grow; { 0 } is empty. */
struct mega_ids {
    int32_t *id;
    size_t n, room;
};
void mega_ids_done(struct mega_ids *ids);

/* Appends the ids of a text; `options` may be NULL (all false). On failure `out` is as it was.
 */
mega_status mega_tokenizer_encode(const mega_tokenizer *t, const void *text, size_t size,
    const struct mega_encode_options *options, struct mega_ids *out);

/* The same for texts too large for their ids to be held: `take` gets them in order, some at a
 * time, and ends the work by returning a failure. */
typedef mega_status mega_ids_fn(void *arg, const int32_t *id, size_t n);
mega_status mega_tokenizer_encode_each(const mega_tokenizer *t, const void *text, size_t size,
    const struct mega_encode_options *options, mega_ids_fn *take, void *arg);

/* ---- training ---- */

struct mega_tokenizer_training {
    const char *kind; /* "bpe": byte-level BPE, as GPT-2's; "codes": merges inside words, as
                         subword-nmt's; "words"; "characters" */
    int32_t size;     /* bpe: ids; codes: merges; words, characters: ids at most, 0: all */
    int64_t least;    /* how often a pair, word, character must come */
    int32_t
        multiple; /* dictionaries (words, codes) are filled up to a multiple of it; 0: not */
    const char *const *specials; /* bpe, characters: special tokens, which come last */
    int n_specials;
};

/* Trains on files (packed by gzip or not). Equal files give an equal tokenizer. The tokenizer
 * is yours to close; mega_tokenizer_save writes its files. */
mega_status mega_tokenizer_train(mega_tokenizer **out,
    const struct mega_tokenizer_training *how, const char *const *files, int n);

/* ---- decoding ---- */

struct mega_decode_options {
    bool specials; /* write special tokens as they are spelt; else they leave nothing */
    bool inside;   /* the ids continue a text: the blank that some kinds put before a text, and
                      take   off its start, stays */
};

/* The bytes of ids, with a NUL behind them that does not count. They need not be valid UTF-8:
 * no byte is replaced. `options` may be NULL. *out is yours to free with free(). */
mega_status mega_tokenizer_decode(const mega_tokenizer *t, const int32_t *id, size_t n,
    const struct mega_decode_options *options, char **out, size_t *size);

/* Decoding as ids arrive: what comes out, put together, is what mega_tokenizer_decode gives for
 * all ids. Each piece ends with a whole character: bytes that begin a UTF-8 character wait for
 * the rest of it, bytes that cannot belong to one do not. A decoder belongs to one thread and
 * needs the tokenizer open. */
typedef struct mega_decoder mega_decoder;
mega_status mega_decoder_open(
    mega_decoder **out, const mega_tokenizer *t, const struct mega_decode_options *options);
void mega_decoder_close(mega_decoder *d);

/* Adds an id; what can be written now is borrowed until the next call, and may be empty. */
mega_status mega_decoder_add(mega_decoder *d, int32_t id, const char **bytes, size_t *size);

/* What still waits, whole or not; the decoder then starts afresh. */
mega_status mega_decoder_flush(mega_decoder *d, const char **bytes, size_t *size);

#ifdef __cplusplus
}
#endif
#endif
