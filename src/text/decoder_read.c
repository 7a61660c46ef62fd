/* Decoders of tokenizer.json. Up to "Fuse" they look at one piece at a time, so their work is
 * done once, when the file is read: each piece gets its surface. */
#include <limits.h>
#include <stdlib.h>

#include "text/byte_chars.h"
#include "text/tokenizer_json.h"
#include "text/wordpiece.h"

struct reader {
    mega_tokenizer *t;
    const struct mega_document *d;
    bool fused; /* the pieces are one text now */
};

static mega_status refuse(
    const struct reader *r, const struct mega_node *node, const char *what, const char *found)
{
    return mega_fail(MEGA_UNSUPPORTED, "%s:%d:%d: %s '%.80s' is not supported", r->d->name,
        node->line, node->column, what, found);
}

/* replaces every surface by what `change` appends for it; false from it: as it was */
static mega_status change_surfaces(const struct reader *r,
    bool (*change)(const struct mega_piece *p, const void *arg, struct mega_text *out),
    const void *arg)
{
    struct mega_vocab *v = &r->t->vocab;
    struct mega_text out = { 0 };
    mega_status status = MEGA_OK;
    for (int32_t id = 0; id < v->n && !status; id++) {
        if (!mega_vocab_has(v, id)) continue;
        mega_text_clear(&out);
        mega_text_add(&out, "%s", "");
        if (!change(&v->piece[id], arg, &out)) continue;
        status = out.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for a decoder")
                            : mega_vocab_surface(v, id, out.data, out.size);
    }
    mega_text_done(&out);
    return status;
}

/* ---- one reader a type ---- */

static bool to_bytes(const struct mega_piece *p, const void *arg, struct mega_text *out)
{
    (void)arg;
    return !(p->flags & MEGA_PIECE_ADDED) &&
           mega_bytes_of_chars(p->surface.data, p->surface.size, out);
}

static mega_status read_byte_level(struct reader *r, const struct mega_node *node)
{
    (void)node;
    r->fused = true;
    return change_surfaces(r, to_bytes, NULL);
}

static int hex(char c)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return !at ? -1 : at - digits < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

static bool to_byte(const struct mega_piece *p, const void *arg, struct mega_text *out)
{
    (void)arg;
    const char *s = p->surface.data;
    if (p->surface.size != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>' || hex(s[3]) < 0 ||
        hex(s[4]) < 0)
        return false;
    char byte = (char)(hex(s[3]) * 16 + hex(s[4]));
    mega_text_add_bytes(out, &byte, 1);
    return true;
}

static mega_status read_byte_fallback(struct reader *r, const struct mega_node *node)
{
    (void)node;
    return change_surfaces(r, to_byte, NULL);
}

static mega_status read_fuse(struct reader *r, const struct mega_node *node)
{
    (void)node;
    r->fused = true;
    return MEGA_OK;
}

struct replacement {
    struct mega_span from, to;
};

static bool replaced(const struct mega_piece *p, const void *arg, struct mega_text *out)
{
    const struct replacement *r = arg;
    const char *at = p->surface.data, *end = at + p->surface.size, *found;
    while ((found = memmem(at, (size_t)(end - at), r->from.data, r->from.size))) {
        mega_text_add_bytes(out, at, (size_t)(found - at));
        mega_text_add_bytes(out, r->to.data, r->to.size);
        at = found + r->from.size;
    }
    mega_text_add_bytes(out, at, (size_t)(end - at));
    return true;
}

static struct mega_span text_of(
    const struct mega_node *node, const char *key, const char *fallback)
{
    const struct mega_node *found = mega_node_find(node, key);
    if (found && found->kind == MEGA_NODE_TEXT)
        return (struct mega_span){ found->text, found->size };
    return (struct mega_span){ fallback, strlen(fallback) };
}

static mega_status read_replace(struct reader *r, const struct mega_node *node)
{
    const struct mega_node *pattern = mega_node_find(node, "pattern");
    struct replacement with = { pattern ? text_of(pattern, "String", "")
                                        : text_of(node, "", ""),
        text_of(node, "content", "") };
    if (!with.from.size || r->fused)
        return refuse(r, node, "the decoder",
            r->fused ? "Replace after the pieces are one text" : "Replace of a Regex");
    return change_surfaces(r, replaced, &with);
}

static mega_status read_metaspace(struct reader *r, const struct mega_node *node)
{
    struct replacement with = { text_of(node, "replacement", "\xE2\x96\x81"), { " ", 1 } };
    struct mega_span scheme = text_of(node, "prepend_scheme", "always");
    const struct mega_node *prefix = mega_node_find(node, "add_prefix_space");
    bool never = !strcmp(scheme.data, "never") ||
                 (prefix && prefix->kind == MEGA_NODE_BOOL && !prefix->boolean);
    if (!with.from.size || r->fused) return refuse(r, node, "this decoder", "Metaspace");
    if (!never)
        r->t->joining = (struct mega_joining){ .strip = INT_MAX, .of = MEGA_STRIP_FIRST };
    return change_surfaces(r, replaced, &with);
}

static int64_t count(const struct mega_node *node, const char *key)
{
    const struct mega_node *found = mega_node_find(node, key);
    return found && found->kind == MEGA_NODE_INT && found->integer > 0 ? found->integer : 0;
}

struct stripping {
    char c;
    int64_t start, stop;
};

static bool stripped(const struct mega_piece *p, const void *arg, struct mega_text *out)
{
    const struct stripping *s = arg;
    const char *from = p->surface.data, *end = from + p->surface.size;
    for (int64_t i = 0; i < s->start && from < end && *from == s->c; i++) from++;
    for (int64_t i = 0; i < s->stop && from < end && end[-1] == s->c; i++) end--;
    mega_text_add_bytes(out, from, (size_t)(end - from));
    return true;
}

static mega_status read_strip(struct reader *r, const struct mega_node *node)
{
    struct mega_span content = text_of(node, "content", " ");
    struct stripping s = { content.data[0], count(node, "start"), count(node, "stop") };
    if (content.size != 1) return refuse(r, node, "the decoder Strip of", content.data);
    if (!r->fused) return change_surfaces(r, stripped, &s);
    if (s.stop || s.c != ' ')
        return refuse(r, node, "the decoder", "Strip at the end of a whole text");
    int most = s.start < INT_MAX ? (int)s.start : INT_MAX;
    r->t->joining = (struct mega_joining){ .strip = most, .of = MEGA_STRIP_TEXT };
    return MEGA_OK;
}

static bool is_word_end(const struct mega_piece *p, const struct mega_span *suffix)
{
    return p->surface.size >= suffix->size &&
           !memcmp(
               p->surface.data + p->surface.size - suffix->size, suffix->data, suffix->size);
}

/* pieces at a word's end carry a suffix; a blank comes in its place */
static mega_status read_bpe(struct reader *r, const struct mega_node *node)
{
    struct mega_span suffix = text_of(node, "suffix", "</w>");
    struct mega_vocab *v = &r->t->vocab;
    for (int32_t id = 0; id < v->n; id++) {
        if (!mega_vocab_has(v, id)) continue;
        struct mega_piece *p = &v->piece[id];
        if (suffix.size && is_word_end(p, &suffix))
            p->surface.size -= suffix.size;
        else
            p->flags |= MEGA_PIECE_OPEN;
    }
    r->t->joining.blank = " ";
    r->fused = true;
    return MEGA_OK;
}

static mega_status read_wordpiece(struct reader *r, const struct mega_node *node)
{
    struct mega_span prefix = text_of(node, "prefix", "##");
    const struct mega_node *cleanup = mega_node_find(node, "cleanup");
    if (r->fused)
        return refuse(r, node, "the decoder", "WordPiece after the pieces are one text");
    r->fused = true;
    return mega_wordpiece_surfaces(
        r->t, prefix, !cleanup || cleanup->kind != MEGA_NODE_BOOL || cleanup->boolean);
}

static mega_status read_decoder(struct reader *r, const struct mega_node *node);

static mega_status read_sequence(struct reader *r, const struct mega_node *node)
{
    const struct mega_node *list = mega_node_find(node, "decoders");
    for (const struct mega_node *n = list ? list->first : NULL; n; n = n->next)
        MEGA_TRY(read_decoder(r, n));
    return MEGA_OK;
}

static const struct {
    const char *type;
    mega_status (*read)(struct reader *r, const struct mega_node *node);
} readers[] = {
    { "BPEDecoder", read_bpe },
    { "ByteFallback", read_byte_fallback },
    { "ByteLevel", read_byte_level },
    { "Fuse", read_fuse },
    { "Metaspace", read_metaspace },
    { "Replace", read_replace },
    { "Sequence", read_sequence },
    { "Strip", read_strip },
    { "WordPiece", read_wordpiece },
};

static mega_status read_decoder(struct reader *r, const struct mega_node *node)
{
    struct mega_span type = text_of(node, "type", "");
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (!strcmp(type.data, readers[i].type)) return readers[i].read(r, node);
    return refuse(r, node, "the decoder", type.data);
}

mega_status mega_decoder_read(mega_tokenizer *t, const struct mega_document *d,
    const struct mega_node *node, bool byte_level, bool drops)
{
    struct reader r = { t, d, false };
    if (node && node->kind != MEGA_NODE_NULL) return read_decoder(&r, node);
    if (drops) t->joining.blank = " ";
    return byte_level ? read_byte_level(&r, NULL) : MEGA_OK;
}
