/* Files: whole reads, maps, and writes that either happen or do not. */
#ifndef MEGA_BASE_FILE_H
#define MEGA_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* A file's bytes, mapped read-only (an empty file: size 0, data NULL). Directories and
 * unreadable files are refused. */
struct mega_map {
    const unsigned char *data;
    size_t size;
};
mega_status mega_map_open(struct mega_map *m, const char *path);
void mega_map_close(struct mega_map *m);

/* Reads a whole file or, for "-", standard input, into `out` (cleared first). */
mega_status mega_file_read(const char *path, struct mega_text *out);

/* The same, unpacking gzip data (recognised by their first bytes); damaged ones are refused. */
mega_status mega_file_read_gz(const char *path, struct mega_text *out);

/* A write that happens whole or not at all: bytes go to a new name in the same folder; commit
 * syncs file and folder and renames it over `path`; abandon removes it. Every error (a full
 * disk, EFBIG) is kept and returned by commit. */
struct mega_writer {
    char *path, *part;
    int fd;
    mega_status status;
    struct mega_text buffer;
};
mega_status mega_writer_open(struct mega_writer *w, const char *path);
void mega_writer_add(struct mega_writer *w, const void *bytes, size_t n);
mega_status mega_writer_commit(struct mega_writer *w);
void mega_writer_abandon(struct mega_writer *w);

/* Writes one text whole, as above. */
mega_status mega_file_write(const char *path, const void *bytes, size_t n);

mega_status mega_folder_make(const char *path); /* with parents; fine if there */
mega_status mega_folder_sync(const char *path); /* its entries reach the disk */
mega_status mega_folder_remove(
    const char *path); /* with all it holds; fine if absent; links are not followed */
bool mega_path_exists(const char *path);
bool mega_path_is_folder(const char *path);

/* The names in a folder, sorted by bytes, without "." and ".."; `out` items are freed by
 * mega_names_done. */
struct mega_names {
    char **item;
    int n;
};
mega_status mega_folder_list(const char *path, struct mega_names *out);
void mega_names_done(struct mega_names *names);

#endif
