#include "layer/kept_heads.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* the list of one layer within the text; NULL beyond the last */
static const char *list_of(const char *text, int64_t layer, size_t *n)
{
    for (; text && layer > 0; layer--) {
        text = strchr(text, ';');
        if (text) text++;
    }
    *n = text ? strcspn(text, ";") : 0;
    return text;
}

const struct mega_kept_words mega_kept_heads_words = { "kept_heads", "head" },
                             mega_kept_cross_words = { "kept_cross_heads", "head" },
                             mega_kept_channels_words = { "kept_channels", "block" };

/* `why` may speak of a unit as %s */
static mega_status refuse(
    const struct mega_kept_words *w, const char *text, int64_t layer, const char *why)
{
    const char *at = strstr(why, "%s");
    int n = at ? (int)(at - why) : (int)strlen(why);
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s is '%s': layer %lld %.*s%s%s; expected a list a layer, as in \"0 2-7; all; -\"",
        w->option, text, (long long)layer, n, why, at ? w->unit : "", at ? at + 2 : "");
}

/* a number at *at, which moves on; -1 if there is none */
static int64_t number(const char **at, const char *end)
{
    int64_t value = 0;
    const char *from = *at;
    for (; *at < end && **at >= '0' && **at <= '9' && value < 1 << 20; ++*at)
        value = 10 * value + (**at - '0');
    return *at > from ? value : -1;
}

static void skip(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == ',')) ++*at;
}

static bool is_word(const char *list, size_t n, const char *word)
{
    while (n && *list == ' ') list++, n--;
    while (n && list[n - 1] == ' ') n--;
    return n == strlen(word) && !memcmp(list, word, n);
}

mega_status mega_kept_read(
    const struct mega_kept_words *w, const char *text, int64_t layer, int64_t heads, bool *kept)
{
    size_t n;
    bool given = text && *text;
    const char *at = given ? list_of(text, layer, &n) : NULL;
    if (given && !at) return refuse(w, text, layer, "is missing");
    for (int64_t h = 0; h < heads; h++) kept[h] = !given || is_word(at, n, "all");
    if (!given || is_word(at, n, "all") || is_word(at, n, "-")) return MEGA_OK;
    const char *end = at + n;
    int64_t before = -1;
    for (skip(&at, end); at < end; skip(&at, end)) {
        int64_t first = number(&at, end), last = first;
        if (first >= 0 && at < end && *at == '-') {
            at++;
            last = number(&at, end);
        }
        if (first < 0 || last < first) return refuse(w, text, layer, "is no list of %ss");
        if (first <= before) return refuse(w, text, layer, "names %ss that do not rise");
        if (last >= heads) return refuse(w, text, layer, "names a %s that there never was");
        for (int64_t h = first; h <= last; h++) kept[h] = true;
        before = last;
    }
    return before < 0 ? refuse(w, text, layer, "is empty") : MEGA_OK;
}

mega_status mega_kept_heads_read(const char *text, int64_t layer, int64_t heads, bool *kept)
{
    return mega_kept_read(&mega_kept_heads_words, text, layer, heads, kept);
}

void mega_kept_heads_print(struct mega_text *to, int64_t heads, const bool *kept)
{
    int64_t left = 0;
    for (int64_t h = 0; h < heads; h++) left += kept[h];
    if (to->size) mega_text_add(to, "; ");
    if (left == heads || !left) {
        mega_text_add(to, left ? "all" : "-");
        return;
    }
    const char *gap = "";
    for (int64_t h = 0, end; h < heads; h = end) {
        for (end = h; end < heads && kept[end];) end++;
        if (end - h > 2)
            mega_text_add(to, "%s%lld-%lld", gap, (long long)h, (long long)end - 1);
        for (int64_t i = h; end - h <= 2 && i < end; i++, gap = " ")
            mega_text_add(to, "%s%lld", gap, (long long)i);
        if (end > h) gap = " ";
        if (end == h) end++;
    }
}

mega_status mega_kept_check(const struct mega_kept_words *w, const char *text, int64_t layers)
{
    int64_t lists = 1;
    for (const char *at = text; at && *at; at++) lists += *at == ';';
    return !text || !*text || lists == layers
               ? MEGA_OK
               : mega_fail(MEGA_BAD_ARGUMENT,
                     "%s has %lld lists, expected one for each of %lld layers", w->option,
                     (long long)lists, (long long)layers);
}

mega_status mega_kept_heads_check(const char *text, int64_t layers)
{
    return mega_kept_check(&mega_kept_heads_words, text, layers);
}

/* the groups that have heads, and runs of those that have equally many */
static void divide(struct mega_kept_heads *k, const bool *kept, int64_t heads, int64_t groups,
    int32_t *number, int32_t *group_number, struct mega_head_part *part)
{
    int64_t share = heads / groups;
    for (int64_t g = 0; g < groups; g++) {
        int64_t left = 0;
        for (int64_t h = g * share; h < (g + 1) * share; h++)
            if (kept[h]) number[k->heads + left++] = (int32_t)h;
        if (!left) continue;
        struct mega_head_part *last = k->parts ? &part[k->parts - 1] : NULL;
        if (!last || last->heads != left * last->groups) {
            last = &part[k->parts++];
            *last = (struct mega_head_part){ k->heads, 0, k->groups, 0 };
        }
        last->heads += left;
        last->groups++;
        k->heads += left;
        group_number[k->groups++] = (int32_t)g;
    }
}

void mega_kept_build(mega_build *b, struct mega_kept_heads *k, const struct mega_kept_words *w,
    const char *text, int64_t layer, int64_t heads, int64_t groups)
{
    *k = (struct mega_kept_heads){ 0 };
    if (b->status) return;
    struct mega_arena *a = &b->store->names;
    bool *kept = mega_arena_zeroed(a, (size_t)heads * sizeof *kept);
    int32_t *number = mega_arena_zeroed(a, (size_t)heads * sizeof *number),
            *group = mega_arena_zeroed(a, (size_t)groups * sizeof *group);
    struct mega_head_part *part = mega_arena_zeroed(a, (size_t)groups * sizeof *part);
    if (!kept || !number || !group || !part) {
        b->status = mega_fail(MEGA_NO_MEMORY, "no memory to declare attention heads");
        return;
    }
    b->status = mega_kept_read(w, text, layer, heads, kept);
    if (b->status) return;
    divide(k, kept, heads, groups, number, group, part);
    k->number = number;
    k->group_number = group;
    k->part = part;
}

void mega_kept_heads_build(mega_build *b, struct mega_kept_heads *k, const char *text,
    int64_t layer, int64_t heads, int64_t groups)
{
    mega_kept_build(b, k, &mega_kept_heads_words, text, layer, heads, groups);
}
