#include "data/file_list.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

static mega_status add(struct mega_names *out, const char *path)
{
    /* room doubles at powers of two */
    if (!(out->n & (out->n - 1))) {
        char **item = realloc(out->item, (out->n ? 2 * (size_t)out->n : 1) * sizeof *item);
        if (!item) return mega_fail(MEGA_NO_MEMORY, "no memory to list files");
        out->item = item;
    }
    out->item[out->n] = strdup(path);
    if (!out->item[out->n]) return mega_fail(MEGA_NO_MEMORY, "no memory to list files");
    out->n++;
    return MEGA_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static mega_status add_folder(struct mega_names *out, const char *what, const char *path)
{
    struct mega_names names;
    MEGA_TRY(mega_folder_list(path, &names));
    int before = out->n;
    mega_status status = MEGA_OK;
    size_t n = strlen(path);
    for (int i = 0; i < names.n && !status; i++) {
        struct mega_text inner = { 0 };
        if (*names.item[i] == '.') continue;
        mega_text_add(
            &inner, "%s%s%s", path, n && path[n - 1] == '/' ? "" : "/", names.item[i]);
        if (inner.failed)
            status = mega_fail(MEGA_NO_MEMORY, "no memory to list %s", path);
        else if (!mega_path_is_folder(inner.data))
            status = add(out, inner.data);
        mega_text_done(&inner);
    }
    mega_names_done(&names);
    if (!status && out->n == before)
        status = mega_fail(MEGA_BAD_ARGUMENT, "%s: the folder %s holds no file", what, path);
    return status;
}

static mega_status add_matches(struct mega_names *out, const char *what, const char *pattern)
{
    glob_t found = { 0 };
    int result = glob(pattern, GLOB_NOSORT, NULL, &found);
    mega_status status = MEGA_OK;
    if (result == GLOB_NOMATCH)
        status = strpbrk(pattern, "*?[")
                     ? mega_fail(MEGA_IO, "%s: no file matches %s", what, pattern)
                     : mega_fail(MEGA_IO, "%s: there is no file %s", what, pattern);
    else if (result == GLOB_NOSPACE)
        status = mega_fail(MEGA_NO_MEMORY, "no memory to list %s", pattern);
    else if (result)
        status = mega_fail(MEGA_IO, "%s: cannot list %s", what, pattern);
    if (!status) qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    int before = out->n;
    for (size_t i = 0; !status && i < found.gl_pathc; i++)
        if (!mega_path_is_folder(found.gl_pathv[i])) status = add(out, found.gl_pathv[i]);
    if (!status && out->n == before)
        status = mega_fail(MEGA_IO, "%s: %s matches folders alone", what, pattern);
    if (!result) globfree(&found);
    return status;
}

static mega_status refuse_twice(const char *what, const struct mega_names *names)
{
    char **sorted = malloc(((size_t)names->n + 1) * sizeof *sorted);
    if (!sorted) return mega_fail(MEGA_NO_MEMORY, "no memory to list files");
    if (names->n) memcpy(sorted, names->item, (size_t)names->n * sizeof *sorted);
    qsort(sorted, (size_t)names->n, sizeof *sorted, by_bytes);
    mega_status status = MEGA_OK;
    for (int i = 1; i < names->n && !status; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            status =
                mega_fail(MEGA_BAD_ARGUMENT, "%s: %s would be read twice", what, sorted[i]);
    free(sorted);
    return status;
}

mega_status mega_file_list(
    struct mega_names *out, const char *what, const struct mega_texts *patterns)
{
    *out = (struct mega_names){ 0 };
    mega_status status = MEGA_OK;
    for (int i = 0; i < patterns->n && !status; i++) {
        const char *p = patterns->item[i];
        if (!*p) continue;
        if (!strcmp(p, "-"))
            status = add(out, p);
        else if (mega_path_is_folder(p))
            status = add_folder(out, what, p);
        else if (mega_path_exists(p))
            status = add(out, p);
        else
            status = add_matches(out, what, p);
    }
    if (!status) status = refuse_twice(what, out);
    if (status) mega_names_done(out);
    return status;
}
