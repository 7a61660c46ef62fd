/* WordPiece (Schuster and Nakajima, 2012; BERT): a word is cut into the longest pieces that
 * there are, from left to right; those inside it carry a prefix. A word that cannot be cut so
 * is unknown as a whole. */
#ifndef MEGA_TEXT_WORDPIECE_H
#define MEGA_TEXT_WORDPIECE_H

#include "text/bpe_model.h"

/* To be called when vocabulary, prefix and longest_word are there; refuses a vocabulary without
 * the unknown piece. `name` is the file's. */
mega_status mega_wordpiece_finish(
    mega_tokenizer *t, struct mega_bpe_model *m, struct mega_span unk, const char *name);

/* Cuts a word: ids (at most n of them) and their number. `room` is used on the way. */
mega_status mega_wordpiece_cut(const mega_tokenizer *t, const struct mega_bpe_model *m,
    const char *word, size_t n, struct mega_text *room, int32_t *id, size_t *count);

/* What decoding writes: words with blanks between them, pieces with the prefix joined to what
 * is before them; with `cleanup` marks and the endings of English, too. */
mega_status mega_wordpiece_surfaces(mega_tokenizer *t, struct mega_span prefix, bool cleanup);

#endif
