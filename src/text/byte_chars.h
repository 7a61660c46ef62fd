/* Byte-level files write each byte as one printable character (GPT-2's table): printable ones
 * as themselves, the others, in order, as U+0100 and what follows it. */
#ifndef MEGA_TEXT_BYTE_CHARS_H
#define MEGA_TEXT_BYTE_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

uint32_t mega_byte_char(unsigned char byte); /* its character */
int mega_byte_of_char(uint32_t code);        /* the byte, or -1 */

/* The bytes in the order of their characters, 0 ... 255: the order of GPT-2's vocabulary. */
unsigned char mega_byte_in_order(int place);

/* The bytes that a piece stands for, appended; false (and nothing) if a character stands for
 * none. */
bool mega_bytes_of_chars(const char *text, size_t size, struct mega_text *out);

void mega_chars_of_bytes(const char *bytes, size_t size, struct mega_text *out);

#endif
