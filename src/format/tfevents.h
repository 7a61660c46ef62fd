/* TensorBoard event files: records of one scalar each, as TensorBoard reads them. */
#ifndef MEGA_FORMAT_TFEVENTS_H
#define MEGA_FORMAT_TFEVENTS_H

#include <stdint.h>

#include "base/text.h"

/* Appends framed records (length, masked CRC-32C, protobuf Event) to `to`: the version record
 * that opens a file, and a scalar. */
void mega_tfevents_version(struct mega_text *to, double date_s);
void mega_tfevents_scalar(
    struct mega_text *to, double date_s, int64_t step, const char *tag, float value);

/* Bytes of `data` up to the last whole record whose step is at most `step` (after a crash,
 * later ones are cut off). Records of `step` itself whose tag begins with `late` (NULL: none)
 * count as later. */
size_t mega_tfevents_keep(const void *data, size_t n, int64_t step, const char *late);

#endif
