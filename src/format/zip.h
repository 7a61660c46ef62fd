/* ZIP archives as containers of named byte ranges, stored as they are: what PyTorch writes.
 * Nothing is unpacked. */
#ifndef MEGA_FORMAT_ZIP_H
#define MEGA_FORMAT_ZIP_H

#include "base/arena.h"
#include "base/file.h"

struct mega_zip_entry {
    const char *name;
    const unsigned char *data; /* in the archive */
    size_t size;
    uint32_t crc;
    bool checked; /* its checksum was found right */
};

struct mega_zip {
    struct mega_arena arena;
    const char *file;             /* for messages */
    struct mega_zip_entry *entry; /* sorted by name */
    int n;
};

/* Reads the directory of an archive in memory (borrowed, as `file` is). ZIP64 and sizes that
 * stand after the data are understood; compressed or encrypted entries, several volumes, names
 * given twice and ranges outside the archive are refused. */
mega_status mega_zip_parse(struct mega_zip *z, const char *file, const void *bytes, size_t n);
void mega_zip_done(struct mega_zip *z);

struct mega_zip_entry *mega_zip_find(const struct mega_zip *z, const char *name); /* or NULL */

/* Holds the data against their checksum, once. */
mega_status mega_zip_check(const struct mega_zip *z, struct mega_zip_entry *e);

#endif
