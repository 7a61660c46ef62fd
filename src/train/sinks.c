#include "train/sinks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "format/node.h"
#include "format/tfevents.h"

void mega_record_add(struct mega_record *r, const char *name, double value)
{
    if (r->n < (int)(sizeof r->value / sizeof *r->value))
        r->value[r->n++] = (struct mega_value){ name, value };
}

/* ---- opening: what lies beyond the step is cut off ---- */

static const char *const kinds[] = { "train", "valid", "note" };

/* whether a line of log.jsonl belongs to `step` or an earlier one */
static bool is_kept(const char *line, size_t n, int64_t step, bool due)
{
    struct mega_document d = { 0 };
    if (mega_json_parse(&d, "log.jsonl", line, n)) return false;
    const struct mega_node *of = mega_node_find(d.root, "step"),
                           *kind = mega_node_find(d.root, "kind");
    bool kept = of && of->kind == MEGA_NODE_INT && of->integer >= 0 && of->integer <= step;
    if (kept && due && of->integer == step)
        kept = !kind || !kind->text || strcmp(kind->text, kinds[MEGA_RECORD_VALID]) != 0;
    mega_document_done(&d);
    return kept;
}

/* bytes of the log up to the last whole line that is kept */
static size_t log_keep(const char *data, size_t n, int64_t step, bool due)
{
    size_t keep = 0, at = 0;
    while (at < n) {
        const char *end = memchr(data + at, '\n', n - at);
        if (!end) break;
        if (!is_kept(data + at, (size_t)(end - data) - at, step, due)) break;
        at = keep = (size_t)(end - data) + 1;
    }
    return keep;
}

static mega_status cut_back(const char *path, int64_t step, bool due, bool events)
{
    struct mega_map map;
    MEGA_TRY(mega_map_open(&map, path));
    const void *data = map.data;
    size_t keep = events ? mega_tfevents_keep(data, map.size, step, due ? "valid/" : NULL)
                         : log_keep(data, map.size, step, due),
           all = map.size;
    mega_map_close(&map);
    if (keep < all && truncate(path, (off_t)keep)) return mega_fail_errno("shorten", path);
    return MEGA_OK;
}

static mega_status open_file(const char *path, int64_t step, bool due, bool events, int *fd)
{
    if (step >= 0 && mega_path_exists(path)) MEGA_TRY(cut_back(path, step, due, events));
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *fd < 0 ? mega_fail_errno("open", path) : MEGA_OK;
}

static mega_status write_all(int fd, const char *path, const struct mega_text *t)
{
    if (t->failed) return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path);
    for (size_t at = 0; at < t->size;) {
        ssize_t n = write(fd, t->data + at, t->size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return mega_fail_errno("write", path);
        at += (size_t)n;
    }
    return MEGA_OK;
}

/* the event file's name must begin so for TensorBoard to find it; one file a run */
mega_status mega_sinks_open(struct mega_sinks *s, const struct mega_run_folder *f, int64_t step,
    bool due, const struct mega_screen *screen)
{
    *s = (struct mega_sinks){ .log_fd = -1, .events_fd = -1, .screen = *screen };
    mega_run_folder_path(f, s->log_path, "log.jsonl");
    mega_run_folder_path(f, s->events_path, "events.out.tfevents.1.mega");
    MEGA_TRY(open_file(s->log_path, step, due, false, &s->log_fd));
    MEGA_TRY(open_file(s->events_path, step, due, true, &s->events_fd));
    if (lseek(s->events_fd, 0, SEEK_END) > 0) return MEGA_OK;
    mega_text_clear(&s->buffer);
    mega_tfevents_version(&s->buffer, mega_date_s());
    return write_all(s->events_fd, s->events_path, &s->buffer);
}

void mega_sinks_close(struct mega_sinks *s)
{
    if (s->log_fd >= 0) close(s->log_fd);
    if (s->events_fd >= 0) close(s->events_fd);
    mega_text_done(&s->buffer);
    *s = (struct mega_sinks){ .log_fd = -1, .events_fd = -1 };
}

/* ---- writing ---- */

static void print_json(struct mega_text *to, const struct mega_record *r)
{
    mega_text_add(to, "{\"kind\": \"%s\", \"step\": %lld, \"epoch\": %lld", kinds[r->kind],
        (long long)r->step, (long long)r->epoch);
    if (r->split) mega_text_add(to, ", \"split\": \"%s\"", r->split);
    if (r->note) {
        mega_text_add(to, ", \"text\": ");
        mega_json_add_text(to, r->note, strlen(r->note));
    }
    for (int i = 0; i < r->n; i++) {
        mega_text_add(to, ", \"%s\": ", r->value[i].name);
        mega_json_add_real(to, r->value[i].value);
    }
    mega_text_add(to, "%s%s}\n", r->extra ? ", " : "", r->extra ? r->extra : "");
}

mega_status mega_sinks_write(struct mega_sinks *s, const struct mega_record *r)
{
    mega_text_clear(&s->buffer);
    print_json(&s->buffer, r);
    MEGA_TRY(write_all(s->log_fd, s->log_path, &s->buffer));
    if (r->kind == MEGA_RECORD_NOTE) return MEGA_OK;
    mega_text_clear(&s->buffer);
    double date = mega_date_s();
    for (int i = 0; i < r->n; i++) {
        char tag[96];
        snprintf(
            tag, sizeof tag, "%s/%s", r->split ? r->split : kinds[r->kind], r->value[i].name);
        mega_tfevents_scalar(&s->buffer, date, r->step, tag, (float)r->value[i].value);
    }
    return write_all(s->events_fd, s->events_path, &s->buffer);
}

static void say(void (*to)(void *, const char *), void *arg, const char *format, va_list args)
{
    char line[1024];
    vsnprintf(line, sizeof line, format, args);
    if (to) to(arg, line);
}

void mega_sinks_status(struct mega_sinks *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(s->screen.status, s->screen.arg, format, args);
    va_end(args);
}

void mega_sinks_line(struct mega_sinks *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(s->screen.line, s->screen.arg, format, args);
    va_end(args);
}
