#include "data/file_list.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static mega_status glob_into(struct mega_names *found, const char *what, const char *pattern)
{
    glob_t g = { 0 };
    int result = glob(pattern, GLOB_NOSORT, NULL, &g);
    mega_status status = MEGA_OK;
    if (result == GLOB_NOSPACE)
        status = mega_fail(MEGA_NO_MEMORY, "no memory to list %s", pattern);
    else if (result && result != GLOB_NOMATCH)
        status = mega_fail(MEGA_IO, "%s: cannot list %s", what, pattern);
    for (size_t i = 0; !result && !status && i < g.gl_pathc; i++)
        status = add(found, g.gl_pathv[i]);
    if (!result) globfree(&g);
    return status;
}

/* ---- folders at any depth ---- */

/* where a component "**" begins; NULL: there is none */
static const char *find_depth(const char *pattern)
{
    for (const char *at = pattern; (at = strstr(at, "**")); at++)
        if ((at == pattern || at[-1] == '/') && (!at[2] || at[2] == '/')) return at;
    return NULL;
}

/* a name as a pattern that matches it alone */
static void add_literal(struct mega_text *to, const char *name)
{
    for (; *name; name++) mega_text_add(to, strchr("*?[]\\", *name) ? "\\%c" : "%c", *name);
}

static mega_status match_any(struct mega_names *found, const char *what, const char *pattern);

/* `rest` in a folder, and in all those below it that are neither hidden nor links; `folder`
 * ends with a slash or is empty */
static mega_status match_below(
    struct mega_names *found, const char *what, const char *folder, const char *rest)
{
    struct mega_text pattern = { 0 };
    struct mega_names names = { 0 };
    add_literal(&pattern, folder);
    mega_text_add(&pattern, "%s", rest);
    mega_status status = pattern.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to list files")
                                        : match_any(found, what, pattern.data);
    mega_text_done(&pattern);
    if (!status) status = mega_folder_list(*folder ? folder : ".", &names);
    for (int i = 0; i < names.n && !status; i++) {
        struct mega_text inner = { 0 };
        struct stat about;
        mega_text_add(&inner, "%s%s", folder, names.item[i]);
        bool folder_too = !inner.failed && *names.item[i] != '.' &&
                          !lstat(inner.data, &about) && S_ISDIR(about.st_mode);
        mega_text_add(&inner, "/");
        if (inner.failed)
            status = mega_fail(MEGA_NO_MEMORY, "no memory to list files");
        else if (folder_too)
            status = match_below(found, what, inner.data, rest);
        mega_text_done(&inner);
    }
    mega_names_done(&names);
    return status;
}

/* the folders before the first "**", and what follows it in and below them */
static mega_status match_depth(
    struct mega_names *found, const char *what, const char *pattern, const char *depth)
{
    const char *rest = depth[2] && depth[3] ? depth + 3 : "*";
    if (depth == pattern) return match_below(found, what, "", rest);
    struct mega_names folders = { 0 };
    struct mega_text before = { 0 };
    mega_text_add_bytes(&before, pattern, (size_t)(depth - pattern));
    /* with its slash a pattern matches folders alone, and these end with one */
    mega_status status = before.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to list files")
                                       : glob_into(&folders, what, before.data);
    mega_text_done(&before);
    for (int i = 0; i < folders.n && !status; i++)
        status = match_below(found, what, folders.item[i], rest);
    mega_names_done(&folders);
    return status;
}

static mega_status match_any(struct mega_names *found, const char *what, const char *pattern)
{
    const char *depth = find_depth(pattern);
    return depth ? match_depth(found, what, pattern, depth) : glob_into(found, what, pattern);
}

/* ---- patterns ---- */

static mega_status add_matches(struct mega_names *out, const char *what, const char *pattern)
{
    struct mega_names found = { 0 };
    mega_status status = match_any(&found, what, pattern);
    if (!status && !found.n)
        status = strpbrk(pattern, "*?[")
                     ? mega_fail(MEGA_IO, "%s: no file matches %s", what, pattern)
                     : mega_fail(MEGA_IO, "%s: there is no file %s", what, pattern);
    if (found.n) qsort(found.item, (size_t)found.n, sizeof *found.item, by_bytes);
    int before = out->n;
    for (int i = 0; !status && i < found.n; i++) {
        /* two ways of several "**" may lead to one file */
        bool again = i && !strcmp(found.item[i - 1], found.item[i]);
        if (!again && !mega_path_is_folder(found.item[i])) status = add(out, found.item[i]);
    }
    if (!status && out->n == before)
        status = mega_fail(MEGA_IO, "%s: %s matches folders alone", what, pattern);
    mega_names_done(&found);
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
