#include "infer/stops.h"

#include <string.h>

static size_t size_of(const struct mega_stops *s, int i)
{
    return s->size ? s->size[i] : strlen(s->item[i]);
}

mega_status mega_stops_init(
    struct mega_stops *s, const char *const *item, const size_t *size, int n)
{
    *s = (struct mega_stops){ .item = item, .size = size, .n = n };
    for (int i = 0; i < n; i++)
        if (!size_of(s, i))
            return mega_fail(MEGA_BAD_ARGUMENT,
                "stop string %d is empty: expected at least one byte", i + 1);
    return MEGA_OK;
}

void mega_stops_done(struct mega_stops *s)
{
    mega_text_done(&s->held);
    *s = (struct mega_stops){ 0 };
}

/* the first `n` bytes of string i stand at the end of what is held */
static bool ends_with(const struct mega_stops *s, int i, size_t n)
{
    size_t waiting = s->held.size - s->out;
    return n <= waiting && !memcmp(s->held.data + s->held.size - n, s->item[i], n);
}

/* bytes of the longest string that is complete, 0: none */
static size_t complete(const struct mega_stops *s)
{
    size_t longest = 0;
    for (int i = 0; i < s->n; i++)
        if (size_of(s, i) > longest && ends_with(s, i, size_of(s, i))) longest = size_of(s, i);
    return longest;
}

/* bytes at the end that may begin a string */
static size_t beginning(const struct mega_stops *s)
{
    size_t longest = 0;
    for (int i = 0; i < s->n; i++)
        for (size_t n = size_of(s, i) - 1; n > longest; n--)
            if (ends_with(s, i, n)) longest = n;
    return longest;
}

mega_status mega_stops_add(struct mega_stops *s, const char *bytes, size_t n, bool *stopped)
{
    *stopped = false;
    /* what went out is no longer needed */
    if (s->out) {
        memmove(s->held.data, s->held.data + s->out, s->held.size - s->out);
        s->held.size -= s->out;
        s->out = 0;
    }
    for (size_t i = 0; i < n && !*stopped; i++) {
        mega_text_add_bytes(&s->held, bytes + i, 1);
        if (s->held.failed) return mega_fail(MEGA_NO_MEMORY, "no memory for text");
        size_t found = complete(s);
        if (!found) continue;
        s->held.size -= found;
        *stopped = true;
    }
    return MEGA_OK;
}

const char *mega_stops_take(struct mega_stops *s, bool end, size_t *n)
{
    const char *bytes = s->held.data ? s->held.data + s->out : "";
    *n = s->held.size - s->out - (end ? 0 : beginning(s));
    s->out += *n;
    return bytes;
}
