/* The stack machine (Python's pickletools lists the opcodes). */
#include "format/pickle_machine.h"

#include <string.h>

#include "base/fail.h"

enum { PROTOCOL_LEAST = 2, PROTOCOL_MOST = 5 };

typedef mega_status step_fn(struct mega_pickle_machine *m);

mega_status mega_pickle_refuse(const struct mega_pickle_machine *m, const char *what)
{
    return mega_fail(
        MEGA_BAD_FILE, "%s: byte %zu: %s", m->p->name, (size_t)(m->at - m->bytes), what);
}

static mega_status cut_off(const struct mega_pickle_machine *m)
{
    return mega_pickle_refuse(m, "the pickle ends here: is the file cut off?");
}

/* ---- bytes ---- */

static mega_status take(struct mega_pickle_machine *m, size_t n, const unsigned char **out)
{
    *out = m->at;
    if (n > (size_t)(m->end - m->at)) return cut_off(m);
    m->at += n;
    return MEGA_OK;
}

/* an unsigned number of so many bytes, the lowest first */
static mega_status take_number(struct mega_pickle_machine *m, int bytes, uint64_t *out)
{
    const unsigned char *p;
    *out = 0;
    MEGA_TRY(take(m, (size_t)bytes, &p));
    for (int i = bytes - 1; i >= 0; i--) *out = *out << 8 | p[i];
    return MEGA_OK;
}

/* up to the end of the line, without it */
mega_status mega_pickle_line(
    struct mega_pickle_machine *m, const unsigned char **out, size_t *n)
{
    const unsigned char *line = m->at, *stop = memchr(line, '\n', (size_t)(m->end - line));
    *out = line;
    *n = stop ? (size_t)(stop - line) : 0;
    if (!stop) return cut_off(m);
    m->at = stop + 1;
    return MEGA_OK;
}

/* ---- stack, marks, memo ---- */

/* makes room for one more in an array of the arena */
static mega_status grow(
    struct mega_pickle_machine *m, void *array, size_t n, size_t *room, size_t item)
{
    if (n < *room) return MEGA_OK;
    size_t more = *room ? 2 * *room : 64;
    void *old, *to = mega_arena_get(&m->p->arena, more * item);
    if (!to) return mega_pickle_no_memory(m->p);
    memcpy(&old, array, sizeof old);
    if (n) memcpy(to, old, n * item);
    memcpy(array, &to, sizeof to);
    *room = more;
    return MEGA_OK;
}

/* takes NULL as a sign that no memory was left */
mega_status mega_pickle_push(struct mega_pickle_machine *m, struct mega_value *v)
{
    if (!v) return mega_pickle_no_memory(m->p);
    MEGA_TRY(grow(m, &m->stack, m->n, &m->room, sizeof(struct mega_value *)));
    m->stack[m->n++] = v;
    return MEGA_OK;
}

/* what is above the last mark may be used */
mega_status mega_pickle_need(const struct mega_pickle_machine *m, size_t n)
{
    size_t floor = m->marks ? m->mark[m->marks - 1] : 0;
    return m->n - floor < n ? mega_pickle_refuse(m, "the pickle's stack is empty") : MEGA_OK;
}

struct mega_value *mega_pickle_top(const struct mega_pickle_machine *m)
{
    return m->stack[m->n - 1];
}

static mega_status mark(struct mega_pickle_machine *m)
{
    MEGA_TRY(grow(m, &m->mark, m->marks, &m->mark_room, sizeof(size_t)));
    m->mark[m->marks++] = m->n;
    return MEGA_OK;
}

/* ends the last mark; what stood above it begins at *from. `below`: how many must stand under
 * it */
static mega_status unmark(struct mega_pickle_machine *m, size_t below, size_t *from)
{
    *from = m->n;
    if (!m->marks) return mega_pickle_refuse(m, "the pickle ends a group that was not begun");
    *from = m->mark[--m->marks];
    return mega_pickle_need(m, m->n - *from + below);
}

static mega_status remember(struct mega_pickle_machine *m, uint64_t place)
{
    MEGA_TRY(mega_pickle_need(m, 1));
    /* writers count places from 0 or 1, so none lies beyond the bytes read */
    if (place > (uint64_t)(m->at - m->bytes)) return mega_pickle_refuse(m, "a memo with gaps");
    while (place >= m->memo_room) {
        size_t old = m->memo_room;
        MEGA_TRY(grow(m, &m->memo, old, &m->memo_room, sizeof(struct mega_value *)));
        memset(m->memo + old, 0, (m->memo_room - old) * sizeof *m->memo);
    }
    if (!m->memo[place]) m->remembered++;
    m->memo[place] = mega_pickle_top(m);
    return MEGA_OK;
}

static mega_status recall(struct mega_pickle_machine *m, uint64_t place)
{
    if (place >= m->memo_room || !m->memo[place])
        return mega_pickle_refuse(m, "the pickle recalls what it did not remember");
    return mega_pickle_push(m, m->memo[place]);
}

static mega_status step_put(struct mega_pickle_machine *m, int bytes)
{
    uint64_t place;
    MEGA_TRY(take_number(m, bytes, &place));
    return remember(m, place);
}

static mega_status step_get(struct mega_pickle_machine *m, int bytes)
{
    uint64_t place;
    MEGA_TRY(take_number(m, bytes, &place));
    return recall(m, place);
}

static mega_status step_pop(struct mega_pickle_machine *m)
{
    /* a mark on top is popped as a mark */
    if (m->marks && m->mark[m->marks - 1] == m->n) {
        m->marks--;
        return MEGA_OK;
    }
    MEGA_TRY(mega_pickle_need(m, 1));
    m->n--;
    return MEGA_OK;
}

static mega_status step_pop_mark(struct mega_pickle_machine *m)
{
    size_t from;
    MEGA_TRY(unmark(m, 0, &from));
    m->n = from;
    return MEGA_OK;
}

static mega_status step_dup(struct mega_pickle_machine *m)
{
    MEGA_TRY(mega_pickle_need(m, 1));
    return mega_pickle_push(m, mega_pickle_top(m));
}

/* ---- scalars ---- */

static mega_status push_int(struct mega_pickle_machine *m, int64_t value)
{
    struct mega_value *v = mega_value_new(m->p, MEGA_VALUE_INT);
    if (v) v->integer = value;
    return mega_pickle_push(m, v);
}

static mega_status step_int(struct mega_pickle_machine *m, int bytes)
{
    uint64_t value;
    MEGA_TRY(take_number(m, bytes, &value));
    return push_int(m, bytes == 4 ? (int32_t)(uint32_t)value : (int64_t)value);
}

/* in two's complement; beyond eight bytes kept as bytes */
static mega_status step_long(struct mega_pickle_machine *m, int bytes)
{
    uint64_t size;
    const unsigned char *p;
    MEGA_TRY(take_number(m, bytes, &size));
    if (bytes == 4 && size > INT32_MAX)
        return mega_pickle_refuse(m, "a number of a negative length");
    MEGA_TRY(take(m, (size_t)size, &p));
    if (size > 8)
        return mega_pickle_push(m, mega_value_text(m->p, MEGA_VALUE_LONG, p, (size_t)size));
    uint64_t value = size && p[size - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)size; i-- > 0;) value = value << 8 | p[i];
    return push_int(m, (int64_t)value);
}

static mega_status step_float(struct mega_pickle_machine *m)
{
    const unsigned char *p;
    MEGA_TRY(take(m, 8, &p));
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i]; /* the highest byte first */
    struct mega_value *v = mega_value_new(m->p, MEGA_VALUE_REAL);
    if (v) memcpy(&v->real, &bits, sizeof bits);
    return mega_pickle_push(m, v);
}

/* a length of so many bytes, then the text */
static mega_status step_text(
    struct mega_pickle_machine *m, int bytes, enum mega_value_kind kind)
{
    uint64_t size;
    const unsigned char *p;
    MEGA_TRY(take_number(m, bytes, &size));
    if (size > (uint64_t)(m->end - m->at)) return cut_off(m);
    MEGA_TRY(take(m, (size_t)size, &p));
    return mega_pickle_push(m, mega_value_text(m->p, kind, p, (size_t)size));
}

/* ---- containers ---- */

/* gathers n items from the top into a new container */
static mega_status gather(struct mega_pickle_machine *m, enum mega_value_kind kind, size_t n)
{
    struct mega_value *v = mega_value_new(m->p, kind);
    if (!v) return mega_pickle_no_memory(m->p);
    if (kind == MEGA_VALUE_MAP && n % 2) return mega_pickle_refuse(m, "a key without a value");
    if (n) {
        v->item = mega_arena_get(&m->p->arena, n * sizeof *v->item);
        if (!v->item) return mega_pickle_no_memory(m->p);
        memcpy(v->item, m->stack + m->n - n, n * sizeof *v->item);
    }
    v->n = v->room = n;
    m->n -= n;
    return mega_pickle_push(m, v);
}

static mega_status step_few(struct mega_pickle_machine *m, size_t n)
{
    MEGA_TRY(mega_pickle_need(m, n));
    return gather(m, MEGA_VALUE_TUPLE, n);
}

static mega_status step_group(struct mega_pickle_machine *m, enum mega_value_kind kind)
{
    size_t from;
    MEGA_TRY(unmark(m, 0, &from));
    return gather(m, kind, m->n - from);
}

/* adds n items from the top to the container below them */
static mega_status extend(struct mega_pickle_machine *m, enum mega_value_kind kind, size_t n)
{
    struct mega_value *to = m->stack[m->n - n - 1];
    bool map = kind == MEGA_VALUE_MAP;
    if (to->kind != kind && !(map && to->kind == MEGA_VALUE_OBJECT))
        return mega_pickle_refuse(m, "something is added to what is no list, set or map");
    if (map && n % 2) return mega_pickle_refuse(m, "a key without a value");
    for (size_t i = m->n - n; i < m->n; i++) MEGA_TRY(mega_value_add(m->p, to, m->stack[i]));
    m->n -= n;
    return MEGA_OK;
}

static mega_status step_add(struct mega_pickle_machine *m, enum mega_value_kind kind, size_t n)
{
    MEGA_TRY(mega_pickle_need(m, n + 1));
    return extend(m, kind, n);
}

static mega_status step_add_group(struct mega_pickle_machine *m, enum mega_value_kind kind)
{
    size_t from;
    MEGA_TRY(unmark(m, 1, &from));
    return extend(m, kind, m->n - from);
}

/* ---- the table of opcodes ---- */

static mega_status step_stop(struct mega_pickle_machine *m)
{
    m->stopped = true;
    return m->n == 1 && !m->marks
               ? MEGA_OK
               : mega_pickle_refuse(m, "the pickle ends with other than one value");
}

static mega_status step_protocol(struct mega_pickle_machine *m)
{
    uint64_t protocol;
    MEGA_TRY(take_number(m, 1, &protocol));
    if (protocol >= PROTOCOL_LEAST && protocol <= PROTOCOL_MOST) return MEGA_OK;
    return mega_pickle_refuse(m, "a pickle of another protocol than 2 to 5");
}

/* how many bytes follow that belong together; they follow anyhow */
static mega_status step_frame(struct mega_pickle_machine *m)
{
    uint64_t size;
    MEGA_TRY(take_number(m, 8, &size));
    return size > (uint64_t)(m->end - m->at) ? cut_off(m) : MEGA_OK;
}

#define STEP(name, ...)                                                                        \
    static mega_status name(struct mega_pickle_machine *m)                                     \
    {                                                                                          \
        return __VA_ARGS__;                                                                    \
    }
STEP(step_none, mega_pickle_push(m, m->none))
STEP(step_true, mega_pickle_push(m, m->yes))
STEP(step_false, mega_pickle_push(m, m->no))
STEP(step_int1, step_int(m, 1))
STEP(step_int2, step_int(m, 2))
STEP(step_int4, step_int(m, 4))
STEP(step_long1, step_long(m, 1))
STEP(step_long4, step_long(m, 4))
STEP(step_text1, step_text(m, 1, MEGA_VALUE_TEXT))
STEP(step_text4, step_text(m, 4, MEGA_VALUE_TEXT))
STEP(step_text8, step_text(m, 8, MEGA_VALUE_TEXT))
STEP(step_bytes1, step_text(m, 1, MEGA_VALUE_BYTES))
STEP(step_bytes4, step_text(m, 4, MEGA_VALUE_BYTES))
STEP(step_bytes8, step_text(m, 8, MEGA_VALUE_BYTES))
STEP(step_empty_list, gather(m, MEGA_VALUE_LIST, 0))
STEP(step_empty_tuple, gather(m, MEGA_VALUE_TUPLE, 0))
STEP(step_empty_map, gather(m, MEGA_VALUE_MAP, 0))
STEP(step_empty_set, gather(m, MEGA_VALUE_SET, 0))
STEP(step_one, step_few(m, 1))
STEP(step_two, step_few(m, 2))
STEP(step_three, step_few(m, 3))
STEP(step_tuple, step_group(m, MEGA_VALUE_TUPLE))
STEP(step_list, step_group(m, MEGA_VALUE_LIST))
STEP(step_map, step_group(m, MEGA_VALUE_MAP))
STEP(step_frozen_set, step_group(m, MEGA_VALUE_SET))
STEP(step_append, step_add(m, MEGA_VALUE_LIST, 1))
STEP(step_set_item, step_add(m, MEGA_VALUE_MAP, 2))
STEP(step_appends, step_add_group(m, MEGA_VALUE_LIST))
STEP(step_set_items, step_add_group(m, MEGA_VALUE_MAP))
STEP(step_add_items, step_add_group(m, MEGA_VALUE_SET))
STEP(step_put1, step_put(m, 1))
STEP(step_put4, step_put(m, 4))
STEP(step_get1, step_get(m, 1))
STEP(step_get4, step_get(m, 4))

/* the next place of the memo is the number of those in use */
static mega_status step_memoize(struct mega_pickle_machine *m)
{
    return remember(m, m->remembered);
}

static step_fn *const steps[256] = { [0x80] = step_protocol,
    [0x95] = step_frame,
    ['.'] = step_stop,
    ['('] = mark,
    ['0'] = step_pop,
    ['1'] = step_pop_mark,
    ['2'] = step_dup,
    ['N'] = step_none,
    [0x88] = step_true,
    [0x89] = step_false,
    ['K'] = step_int1,
    ['M'] = step_int2,
    ['J'] = step_int4,
    [0x8A] = step_long1,
    [0x8B] = step_long4,
    ['G'] = step_float,
    ['U'] = step_text1,
    ['T'] = step_text4,
    [0x8C] = step_text1,
    ['X'] = step_text4,
    [0x8D] = step_text8,
    ['C'] = step_bytes1,
    ['B'] = step_bytes4,
    [0x8E] = step_bytes8,
    [0x96] = step_bytes8,
    [']'] = step_empty_list,
    ['a'] = step_append,
    ['e'] = step_appends,
    ['l'] = step_list,
    [')'] = step_empty_tuple,
    [0x85] = step_one,
    [0x86] = step_two,
    [0x87] = step_three,
    ['t'] = step_tuple,
    ['}'] = step_empty_map,
    ['d'] = step_map,
    ['s'] = step_set_item,
    ['u'] = step_set_items,
    [0x8F] = step_empty_set,
    [0x90] = step_add_items,
    [0x91] = step_frozen_set,
    ['c'] = mega_pickle_global,
    [0x93] = mega_pickle_stack_global,
    ['R'] = mega_pickle_reduce,
    [0x81] = mega_pickle_reduce,
    [0x92] = mega_pickle_new_with_names,
    ['b'] = mega_pickle_build,
    ['Q'] = mega_pickle_persistent,
    ['q'] = step_put1,
    ['r'] = step_put4,
    ['h'] = step_get1,
    ['j'] = step_get4,
    [0x94] = step_memoize };

static mega_status run(struct mega_pickle_machine *m)
{
    while (!m->stopped) {
        if (m->at == m->end) return cut_off(m);
        step_fn *step = steps[*m->at];
        if (!step)
            return mega_fail(MEGA_BAD_FILE,
                "%s: byte %zu: opcode 0x%02x is none of a pickle of protocols 2 to 5",
                m->p->name, (size_t)(m->at - m->bytes), *m->at);
        m->at++;
        MEGA_TRY(step(m));
    }
    return MEGA_OK;
}

mega_status mega_pickle_read(struct mega_pickle *p, const unsigned char *bytes, size_t n,
    size_t *at, const struct mega_pickle_world *world, struct mega_value **root)
{
    struct mega_pickle_machine m = {
        .p = p, .world = world, .bytes = bytes, .at = bytes + *at, .end = bytes + n
    };
    m.none = mega_value_new(p, MEGA_VALUE_NONE);
    m.yes = mega_value_new(p, MEGA_VALUE_BOOL);
    m.no = mega_value_new(p, MEGA_VALUE_BOOL);
    if (!m.none || !m.yes || !m.no) return mega_pickle_no_memory(p);
    m.yes->integer = 1;
    MEGA_TRY(run(&m));
    *at = (size_t)(m.at - bytes);
    *root = mega_pickle_top(&m);
    return MEGA_OK;
}
