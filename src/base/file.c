#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* ---- reading ---- */

mega_status mega_map_open(struct mega_map *m, const char *path)
{
    *m = (struct mega_map){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mega_fail_errno("open", path);
    struct stat s;
    mega_status status = MEGA_OK;
    if (fstat(fd, &s)) {
        status = mega_fail_errno("read", path);
    } else if (!S_ISREG(s.st_mode)) {
        status = mega_fail(MEGA_BAD_ARGUMENT, "%s is %s, expected a file", path,
            S_ISDIR(s.st_mode) ? "a folder" : "not a regular file");
    } else if (s.st_size > 0) {
        void *data = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = mega_fail_errno("map", path);
        } else {
            m->data = data;
            m->size = (size_t)s.st_size;
        }
    }
    close(fd);
    return status;
}

void mega_map_close(struct mega_map *m)
{
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct mega_map){ 0 };
}

static mega_status read_all(int fd, const char *path, struct mega_text *out)
{
    enum { PIECE = 1 << 16 };
    char *piece = malloc(PIECE);
    if (!piece) return mega_fail(MEGA_NO_MEMORY, "no memory to read %s", path);
    mega_status status = MEGA_OK;
    for (;;) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = mega_fail_errno("read", path);
        if (n <= 0) break;
        mega_text_add_bytes(out, piece, (size_t)n);
    }
    free(piece);
    if (!status && out->failed)
        status = mega_fail(MEGA_NO_MEMORY, "no memory to read %s", path);
    return status;
}

mega_status mega_file_read(const char *path, struct mega_text *out)
{
    mega_text_clear(out);
    mega_text_add(out, "%s", ""); /* an empty file is an empty text, not NULL */
    if (!strcmp(path, "-")) return read_all(STDIN_FILENO, "standard input", out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mega_fail_errno("open", path);
    mega_status status = read_all(fd, path, out);
    close(fd);
    return status;
}

/* replaces gzip bytes by what they hold */
static mega_status unpack(const char *path, struct mega_text *text)
{
    enum { PIECE = 1 << 16 };
    struct mega_text plain = { 0 };
    unsigned char *piece = malloc(PIECE);
    z_stream z = { .next_in = (unsigned char *)text->data, .avail_in = (unsigned)text->size };
    if (!piece || text->size > 0xFFFFFFFFu || inflateInit2(&z, 15 + 16) != Z_OK) {
        free(piece);
        return mega_fail(MEGA_NO_MEMORY, "no memory to unpack %s", path);
    }
    int result = Z_OK;
    while (result == Z_OK) {
        z.next_out = piece;
        z.avail_out = PIECE;
        result = inflate(&z, Z_NO_FLUSH);
        mega_text_add_bytes(&plain, piece, PIECE - z.avail_out);
        /* gzip files may be several in a row */
        if (result == Z_STREAM_END && z.avail_in) result = inflateReset(&z);
    }
    inflateEnd(&z);
    free(piece);
    mega_status status = MEGA_OK;
    if (result != Z_STREAM_END)
        status = mega_fail(MEGA_BAD_FILE,
            "%s: the gzip data are damaged or cut off after %zu plain bytes", path, plain.size);
    else if (plain.failed)
        status = mega_fail(MEGA_NO_MEMORY, "no memory to unpack %s", path);
    mega_text_done(text);
    *text = plain;
    return status;
}

mega_status mega_file_read_gz(const char *path, struct mega_text *out)
{
    MEGA_TRY(mega_file_read(path, out));
    bool packed = out->size >= 2 && (unsigned char)out->data[0] == 0x1F &&
                  (unsigned char)out->data[1] == 0x8B;
    return packed ? unpack(path, out) : MEGA_OK;
}

/* ---- writing whole or not at all ---- */

static char *folder_of(const char *path, char *room)
{
    return dirname(strcpy(room, path));
}

mega_status mega_writer_open(struct mega_writer *w, const char *path)
{
    *w = (struct mega_writer){ .fd = -1 };
    size_t n = strlen(path);
    w->path = strdup(path);
    w->part = malloc(n + 8);
    if (!w->path || !w->part) {
        mega_writer_abandon(w);
        return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", path);
    }
    snprintf(w->part, n + 8, "%s.part", path);
    w->fd = open(w->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        mega_status status = mega_fail_errno("write", w->part);
        mega_writer_abandon(w);
        return status;
    }
    return MEGA_OK;
}

static void put(struct mega_writer *w, const char *bytes, size_t n)
{
    while (n && !w->status) {
        ssize_t done = write(w->fd, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            w->status = mega_fail_errno("write", w->part);
            return;
        }
        bytes += done;
        n -= (size_t)done;
    }
}

void mega_writer_add(struct mega_writer *w, const void *bytes, size_t n)
{
    enum { LARGE = 1 << 16 };
    if (w->status) return;
    mega_text_add_bytes(&w->buffer, bytes, n < LARGE ? n : 0);
    if (w->buffer.failed)
        w->status = mega_fail(MEGA_NO_MEMORY, "no memory to write %s", w->path);
    if (n < LARGE && w->buffer.size < LARGE) return;
    put(w, w->buffer.data, w->buffer.size);
    mega_text_clear(&w->buffer);
    if (n >= LARGE) put(w, bytes, n);
}

mega_status mega_writer_commit(struct mega_writer *w)
{
    put(w, w->buffer.data, w->buffer.size);
    if (!w->status && fsync(w->fd)) w->status = mega_fail_errno("write", w->part);
    if (close(w->fd) && !w->status) w->status = mega_fail_errno("write", w->part);
    w->fd = -1;
    if (!w->status && rename(w->part, w->path)) w->status = mega_fail_errno("rename", w->part);
    mega_status status = w->status;
    if (status) {
        mega_writer_abandon(w);
        return status;
    }
    char *room = strdup(w->path);
    status = room ? mega_folder_sync(folder_of(w->path, room))
                  : mega_fail(MEGA_NO_MEMORY, "no memory to write %s", w->path);
    free(room);
    free(w->part);
    w->part = NULL;
    mega_writer_abandon(w);
    return status;
}

void mega_writer_abandon(struct mega_writer *w)
{
    if (w->fd >= 0) close(w->fd);
    if (w->part) unlink(w->part);
    free(w->part);
    free(w->path);
    mega_text_done(&w->buffer);
    *w = (struct mega_writer){ .fd = -1 };
}

mega_status mega_file_write(const char *path, const void *bytes, size_t n)
{
    struct mega_writer w;
    MEGA_TRY(mega_writer_open(&w, path));
    mega_writer_add(&w, bytes, n);
    return mega_writer_commit(&w);
}

/* ---- folders ---- */

bool mega_path_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool mega_path_is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

mega_status mega_folder_make(const char *path)
{
    char *room = strdup(path);
    if (!room) return mega_fail(MEGA_NO_MEMORY, "no memory to make %s", path);
    mega_status status = MEGA_OK;
    for (char *p = room + (*room == '/'); !status; p++) {
        if (*p && *p != '/') continue;
        char was = *p;
        *p = 0;
        if (*room && mkdir(room, 0777) && errno != EEXIST)
            status = mega_fail_errno("make the folder", room);
        *p = was;
        if (!was) break;
    }
    free(room);
    if (!status && !mega_path_is_folder(path)) {
        errno = ENOTDIR;
        status = mega_fail_errno("make the folder", path);
    }
    return status;
}

mega_status mega_folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return mega_fail_errno("open the folder", path);
    /* some file systems cannot sync folders: nothing more can be done there */
    mega_status status = fsync(fd) && errno != EINVAL ? mega_fail_errno("sync", path) : MEGA_OK;
    close(fd);
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

mega_status mega_folder_list(const char *path, struct mega_names *out)
{
    *out = (struct mega_names){ 0 };
    DIR *folder = opendir(path);
    if (!folder) return mega_fail_errno("list", path);
    int room = 0;
    mega_status status = MEGA_OK;
    for (struct dirent *e; !status && (e = readdir(folder));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (out->n == room) {
            room = room ? 2 * room : 64;
            char **item = realloc(out->item, (size_t)room * sizeof *item);
            if (item) out->item = item;
            if (!item) status = mega_fail(MEGA_NO_MEMORY, "no memory to list %s", path);
        }
        if (!status && !(out->item[out->n++] = strdup(e->d_name)))
            status = mega_fail(MEGA_NO_MEMORY, "no memory to list %s", path);
    }
    closedir(folder);
    if (status)
        mega_names_done(out);
    else if (out->n)
        qsort(out->item, (size_t)out->n, sizeof *out->item, by_bytes);
    return status;
}

void mega_names_done(struct mega_names *names)
{
    for (int i = 0; i < names->n; i++) free(names->item[i]);
    free(names->item);
    *names = (struct mega_names){ 0 };
}

mega_status mega_folder_remove(const char *path)
{
    struct stat s;
    if (lstat(path, &s)) return errno == ENOENT ? MEGA_OK : mega_fail_errno("remove", path);
    if (!S_ISDIR(s.st_mode)) return unlink(path) ? mega_fail_errno("remove", path) : MEGA_OK;
    struct mega_names names;
    MEGA_TRY(mega_folder_list(path, &names));
    mega_status status = MEGA_OK;
    for (int i = 0; i < names.n && !status; i++) {
        struct mega_text inner = { 0 };
        mega_text_add(&inner, "%s/%s", path, names.item[i]);
        status = inner.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to remove %s", path)
                              : mega_folder_remove(inner.data);
        mega_text_done(&inner);
    }
    mega_names_done(&names);
    if (!status && rmdir(path)) status = mega_fail_errno("remove", path);
    return status;
}
