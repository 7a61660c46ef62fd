#include "data/corpus_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "data/corpus_encode.h"

/* ---- names ---- */

enum mega_text_end mega_text_end_of(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e)
{
    if (o->end_of_document != MEGA_END_AUTO) return (enum mega_text_end)o->end_of_document;
    return e->eos >= 0 ? MEGA_END_EOS : MEGA_END_NONE;
}

mega_status mega_corpus_end_id(
    const struct mega_corpus_options *o, const struct mega_text_encoder *e, int32_t *id)
{
    enum mega_text_end end = mega_text_end_of(o, e);
    *id = end == MEGA_END_EOS ? e->eos : end == MEGA_END_BOS ? e->bos : -1;
    if (*id >= 0 || end == MEGA_END_NONE) return MEGA_OK;
    return mega_fail(MEGA_BAD_ARGUMENT,
        "task.end_of_document is '%s', but the tokenizer has no such token: say none",
        end == MEGA_END_EOS ? "eos" : "bos");
}

/* the folder of the recipe, MEGA_CACHE, or where users' caches lie; false: nowhere */
static bool cache_folder(const struct mega_corpus_options *o, struct mega_text *out)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"),
               *own = getenv("MEGA_CACHE");
    if (o->cache && !strcmp(o->cache, "none")) return false;
    if (o->cache && *o->cache)
        mega_text_add(out, "%s", o->cache);
    else if (own && *own)
        mega_text_add(out, "%s", own);
    else if (xdg && *xdg == '/')
        mega_text_add(out, "%s/mega", xdg);
    else if (home && *home == '/')
        mega_text_add(out, "%s/.cache/mega", home);
    return out->size && !out->failed;
}

/* everything that decides the tokens, as bytes; false: a file that has no identity */
static bool identify(const struct mega_text_source *s, int32_t end, struct mega_text *id)
{
    const struct mega_text_encoder *e = s->encoder;
    bool json = s->format == MEGA_CORPUS_JSONL, separated = s->format == MEGA_CORPUS_SEPARATOR;
    mega_text_add(id,
        "tokens 1, format %d, field %s, separator %s, end %d, encoder %016llx %lld", s->format,
        json ? s->options->text_field : "", separated ? s->options->separator : "", (int)end,
        (unsigned long long)e->identity, (long long)e->vocabulary);
    for (int i = 0; i < s->files->n; i++) {
        struct stat t;
        char *path = realpath(s->files->item[i], NULL);
        bool known = path && !stat(path, &t) && S_ISREG(t.st_mode);
        if (known)
            mega_text_add(id, "\n%s %lld %lld.%09ld %lld.%09ld", path, (long long)t.st_size,
                (long long)t.st_mtim.tv_sec, t.st_mtim.tv_nsec, (long long)t.st_ctim.tv_sec,
                t.st_ctim.tv_nsec);
        free(path);
        if (!known) return false;
    }
    return !id->failed;
}

static struct mega_token_key key_of(const struct mega_text *id)
{
    uint64_t h = mega_hash(id->data, id->size);
    /* two halves that do not meet by accident: of the bytes, and of them backwards */
    uint64_t back = 0;
    for (size_t i = id->size; i-- > 0;)
        back = back * 0x100000001b3u + (unsigned char)id->data[i];
    return (struct mega_token_key){ h, mega_hash_join(back, id->size) };
}

/* ---- making ---- */

/* what takes a while says so */
static void announce(const struct mega_text_source *s)
{
    enum { LARGE = 64 << 20 };
    int64_t bytes = 0;
    for (int i = 0; i < s->files->n; i++) {
        struct stat t;
        if (!stat(s->files->item[i], &t)) bytes += t.st_size;
    }
    if (s->log && bytes >= LARGE)
        mega_log_line(s->log, MEGA_LOG_NOTE, "%s: encoding %lld MiB in %d file%s", s->what,
            (long long)(bytes >> 20), s->files->n, s->files->n == 1 ? "" : "s");
}

static mega_status write_tokens(const struct mega_text_source *s, const char *path,
    const char *folder, const struct mega_token_key *key, int32_t end)
{
    struct mega_token_writer w;
    /* a line's end token stands for its newline */
    int64_t end_bytes = end < 0 ? -1 : s->format == MEGA_CORPUS_LINES;
    announce(s);
    MEGA_TRY(mega_token_writer_open(&w, path, folder, s->encoder->vocabulary, end_bytes));
    mega_status status = mega_corpus_encode(&w, s, end);
    if (!status) return mega_token_writer_commit(&w, key);
    mega_token_writer_abandon(&w);
    return status;
}

/* a name that no other process or thread uses */
static void add_own_name(struct mega_text *path, const char *folder)
{
    static _Atomic unsigned count;
    mega_text_add(path, "%s/making-%ld-%u", folder, (long)getpid(), ++count);
}

/* tokens in a file that vanishes when it is closed */
static mega_status make_nameless(struct mega_token_part *part, const struct mega_text_source *s,
    const struct mega_token_key *key, int32_t end)
{
    const char *folder = getenv("TMPDIR");
    struct mega_text path = { 0 };
    if (!folder || !*folder) folder = "/var/tmp";
    add_own_name(&path, folder);
    mega_status status = path.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to name a file")
                                     : write_tokens(s, path.data, folder, key, end);
    if (!status) {
        status = mega_token_file_open(part, path.data, key);
        unlink(path.data);
    }
    mega_text_done(&path);
    return status;
}

/* what processes that were killed long ago left */
static void sweep(const char *folder)
{
    struct mega_names names;
    if (mega_folder_list(folder, &names)) return;
    for (int i = 0; i < names.n; i++) {
        struct mega_text path = { 0 };
        struct stat s;
        mega_text_add(&path, "%s/%s", folder, names.item[i]);
        if (!strncmp(names.item[i], "making-", 7) && !path.failed && !stat(path.data, &s) &&
            S_ISREG(s.st_mode) && s.st_mtim.tv_sec + 86400 < time(NULL))
            unlink(path.data);
        mega_text_done(&path);
    }
    mega_names_done(&names);
}

/* makes the tokens under a name of their own, then under the cache's: whoever comes second
 * puts the same bytes there again */
static mega_status make_cached(struct mega_token_part *part, const struct mega_text_source *s,
    const char *folder, const char *path, const struct mega_token_key *key, int32_t end)
{
    struct mega_text own = { 0 };
    sweep(folder);
    add_own_name(&own, folder);
    mega_status status = own.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to name a file")
                                    : write_tokens(s, own.data, folder, key, end);
    if (!status) {
        status = mega_token_file_open(part, own.data, key);
        if (!status && rename(own.data, path)) {
            status = mega_fail_errno("rename to", path);
            mega_token_part_close(part);
        }
        if (status) unlink(own.data);
    }
    mega_text_done(&own);
    return status;
}

/* false, said aloud: the folder keeps nothing */
static bool is_writable(const struct mega_text_source *s, const char *folder)
{
    if (!mega_folder_make(folder) && !access(folder, W_OK | X_OK)) return true;
    if (s->log)
        mega_log_line(s->log, MEGA_LOG_WARN,
            "%s: tokens cannot be kept in %s (task.cache): they are made anew each time",
            s->what, folder);
    return false;
}

static mega_status open_in(struct mega_token_part *part, const struct mega_text_source *s,
    const char *folder, const struct mega_token_key *key, int32_t end, bool *was_cached)
{
    struct mega_text path = { 0 };
    mega_text_add(&path, "%s/%016llx%016llx.tokens", folder, (unsigned long long)key->a,
        (unsigned long long)key->b);
    if (path.failed) return mega_fail(MEGA_NO_MEMORY, "no memory to name a file");
    bool there = mega_path_exists(path.data);
    *was_cached = there && !mega_token_file_open(part, path.data, key);
    if (there && !*was_cached && s->log)
        mega_log_line(s->log, MEGA_LOG_WARN, "%s: made again", mega_message());
    mega_status status = *was_cached ? MEGA_OK
                         : is_writable(s, folder)
                             ? make_cached(part, s, folder, path.data, key, end)
                             : make_nameless(part, s, key, end);
    mega_text_done(&path);
    return status;
}

mega_status mega_corpus_tokens_open(
    struct mega_token_part *part, const struct mega_text_source *s, bool *was_cached)
{
    struct mega_text id = { 0 }, folder = { 0 };
    int32_t end;
    *was_cached = false;
    MEGA_TRY(mega_corpus_end_id(s->options, s->encoder, &end));
    bool keep = identify(s, end, &id) && cache_folder(s->options, &folder);
    struct mega_token_key key = key_of(&id);
    mega_status status = keep ? open_in(part, s, folder.data, &key, end, was_cached)
                              : make_nameless(part, s, &key, end);
    mega_text_done(&id);
    mega_text_done(&folder);
    return status;
}
