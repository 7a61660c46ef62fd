/* Characters: their bytes and what Unicode says of them. */
#ifndef MEGA_TEXT_UNICODE_H
#define MEGA_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code and length of the valid character at p; 0 bytes: there is none. */
int mega_char_read(const char *p, const char *end, uint32_t *code);

/* Its bytes; their number. */
int mega_char_write(uint32_t code, char out[4]);

/* Where valid UTF-8 that begins at p ends. */
const char *mega_text_valid_end(const char *p, const char *end);

/* The bytes before `end` that begin a character without ending it, 0 to 3. */
size_t mega_char_pending(const char *text, const char *end);

bool mega_char_is_space(uint32_t code);   /* White_Space */
bool mega_char_is_word(uint32_t code);    /* letters, marks, numbers, connectors */
bool mega_char_is_numeric(uint32_t code); /* Nd, Nl, No */
bool mega_char_is_punctuation(uint32_t code);
bool mega_char_is_other(uint32_t code);     /* Cc, Cf, Cs, Co */
bool mega_char_is_ideograph(uint32_t code); /* what BERT takes for Chinese characters */

#endif
