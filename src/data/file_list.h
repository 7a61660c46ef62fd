/* Lists of files: what names, folders and patterns stand for. */
#ifndef MEGA_DATA_FILE_LIST_H
#define MEGA_DATA_FILE_LIST_H

#include "base/file.h"
#include "base/option.h"

/* The files that `patterns` name, one pattern after the other: a path that exists is itself, a
 * folder all files in it (not hidden, not deeper), "-" standard input, anything else a pattern
 * of glob(7), in which a component "**" stands for any number of folders, also none (not
 * hidden, not behind links). The files of a folder or pattern are ordered by the bytes of their
 * names, in every locale. Names without a file, patterns without a match and files named twice
 * are refused; `what` is said before ("task.train"). Freed by mega_names_done. */
mega_status mega_file_list(
    struct mega_names *out, const char *what, const struct mega_texts *patterns);

#endif
