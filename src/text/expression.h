/* Regular expressions of tokenizer.json are written for Oniguruma (Ruby's syntax); here they
 * are put into the words of PCRE2. */
#ifndef MEGA_TEXT_EXPRESSION_H
#define MEGA_TEXT_EXPRESSION_H

#include "base/text.h"

/* Unicode's word characters, as a part of a class. */
#define MEGA_WORD_CLASS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

/* Appends the translation; what has none is refused, `where` beginning the message. */
mega_status mega_expression_translate(
    const char *where, const char *expression, size_t size, struct mega_text *out);

#endif
