#include "train/run_folder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static mega_status set_path(struct mega_run_folder *f, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0 || n >= sizeof f->path)
        return mega_fail(
            MEGA_BAD_ARGUMENT, "run folder '%s': expected a path of 1 to 1023 bytes", path);
    memcpy(f->path, path, n);
    f->path[n] = 0;
    return MEGA_OK;
}

char *mega_run_folder_path(
    const struct mega_run_folder *f, char out[1280], const char *format, ...)
{
    int n = snprintf(out, 1280, "%s/", f->path);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, (size_t)(1280 - n), format, args);
    va_end(args);
    return out;
}

static bool ends_in_part(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".part");
}

/* recipe.full.yaml is the last file that a beginning writes */
bool mega_run_folder_begun(const char *path)
{
    char recipe[1280];
    snprintf(recipe, sizeof recipe, "%.1200s/recipe.full.yaml", path);
    return mega_path_exists(recipe);
}

static bool is_of_a_beginning(const char *name)
{
    return !strcmp(name, "recipe.yaml") || !strcmp(name, "manifest.json") || ends_in_part(name);
}

mega_status mega_run_folder_create(struct mega_run_folder *f, const char *path, bool again)
{
    MEGA_TRY(set_path(f, path));
    if (mega_path_exists(f->path)) {
        struct mega_names names;
        MEGA_TRY(mega_folder_list(f->path, &names));
        int others = 0;
        for (int i = 0; i < names.n; i++) others += !again || !is_of_a_beginning(names.item[i]);
        mega_names_done(&names);
        if (others)
            return mega_fail(MEGA_BAD_ARGUMENT,
                "run folder %s is not empty: a fresh run touches nothing that is there; choose "
                "another --run, or go on with --resume auto",
                f->path);
    }
    return mega_folder_make(f->path);
}

mega_status mega_run_folder_open(struct mega_run_folder *f, const char *path)
{
    MEGA_TRY(set_path(f, path));
    if (!mega_path_is_folder(f->path))
        return mega_fail(MEGA_BAD_ARGUMENT, "there is no run folder %s", f->path);
    if (!mega_run_folder_begun(f->path))
        return mega_fail(
            MEGA_BAD_FILE, "%s is not a run folder: recipe.full.yaml is missing", f->path);
    return MEGA_OK;
}

/* the number of "step-000750", or -1 for any other name (also "step-000750.part") */
static int64_t step_of(const char *name)
{
    if (strncmp(name, "step-", 5) != 0 || !name[5]) return -1;
    char *end;
    long long step = strtoll(name + 5, &end, 10);
    return *end || name[5] == '-' || name[5] == '+' ? -1 : step;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

mega_status mega_run_folder_steps(const struct mega_run_folder *f, int64_t **steps, int *n)
{
    struct mega_names names;
    *steps = NULL;
    *n = 0;
    MEGA_TRY(mega_folder_list(f->path, &names));
    int64_t *found = calloc((size_t)names.n + 1, sizeof *found);
    for (int i = 0; found && i < names.n; i++) {
        int64_t step = step_of(names.item[i]);
        if (step >= 0) found[(*n)++] = step;
    }
    mega_names_done(&names);
    if (!found) return mega_fail(MEGA_NO_MEMORY, "no memory to list %s", f->path);
    qsort(found, (size_t)*n, sizeof *found, by_number);
    *steps = found;
    return MEGA_OK;
}

int64_t mega_run_folder_link(const struct mega_run_folder *f, const char *link)
{
    char path[1280], target[256];
    ssize_t n = readlink(mega_run_folder_path(f, path, "%s", link), target, sizeof target - 1);
    if (n < 0) return -1;
    target[n] = 0;
    return mega_path_is_folder(path) ? step_of(target) : -1;
}

mega_status mega_run_folder_point(
    const struct mega_run_folder *f, const char *link, int64_t step)
{
    char path[1280], fresh[1280], target[64];
    mega_run_folder_path(f, path, "%s", link);
    mega_run_folder_path(f, fresh, "%s.part", link);
    snprintf(target, sizeof target, "step-%06lld", (long long)step);
    unlink(fresh);
    if (symlink(target, fresh)) return mega_fail_errno("make the link", fresh);
    if (rename(fresh, path)) return mega_fail_errno("rename to", path);
    return mega_folder_sync(f->path);
}

static bool is_remains(const char *name)
{
    return !strncmp(name, "step-", 5) && ends_in_part(name);
}

static mega_status remove_remains(const struct mega_run_folder *f)
{
    struct mega_names names;
    char path[1280];
    MEGA_TRY(mega_folder_list(f->path, &names));
    mega_status status = MEGA_OK;
    for (int i = 0; i < names.n && !status; i++)
        if (is_remains(names.item[i]))
            status = mega_folder_remove(mega_run_folder_path(f, path, "%s", names.item[i]));
    mega_names_done(&names);
    return status;
}

mega_status mega_run_folder_retain(const struct mega_run_folder *f, int64_t keep)
{
    MEGA_TRY(remove_remains(f));
    if (keep <= 0) return MEGA_OK;
    int64_t *steps, latest = mega_run_folder_link(f, "latest"),
                    best = mega_run_folder_link(f, "best");
    int n;
    MEGA_TRY(mega_run_folder_steps(f, &steps, &n));
    mega_status status = MEGA_OK;
    for (int i = 0; i < n - keep && !status; i++) {
        char path[1280], gone[1280];
        if (steps[i] == latest || steps[i] == best) continue;
        mega_run_folder_path(f, path, "step-%06lld", (long long)steps[i]);
        mega_run_folder_path(f, gone, "step-%06lld.part", (long long)steps[i]);
        /* out of sight first, so that a kill here leaves no half checkpoint under a whole one's
         * name */
        status =
            rename(path, gone) ? mega_fail_errno("rename", path) : mega_folder_remove(gone);
    }
    free(steps);
    return status;
}

mega_status mega_run_folder_model(const char *path, char out[1280])
{
    static const char *const inside[] = { "", "best/", "latest/" };
    for (int i = 0; i < 3; i++) {
        char config[1280];
        snprintf(config, sizeof config, "%.1100s/%sconfig.json", path, inside[i]);
        if (!mega_path_exists(config)) continue;
        snprintf(out, 1280, "%.1100s%s%.*s", path, i ? "/" : "",
            i ? (int)strlen(inside[i]) - 1 : 0, inside[i]);
        return MEGA_OK;
    }
    if (!mega_path_exists(path))
        return mega_fail(MEGA_BAD_ARGUMENT, "there is no run or model folder %s", path);
    return mega_fail(MEGA_BAD_FILE,
        "%s is neither a model folder (config.json is missing) nor a run folder with a "
        "checkpoint",
        path);
}
