/* A record: length (u64), masked CRC of the length, data, masked CRC of the data. The data are
 * a protobuf Event: 1 wall_time double | 2 step int64 | 3 file_version string | 5 summary { 1
 * value { 1 tag string | 2 simple_value float } } */
#include "format/tfevents.h"

#include <string.h>

/* CRC-32C (Castagnoli), bit by bit: records are short */
static uint32_t crc32c(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t crc = ~0u;
    while (n--) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (0x82F63B78u & -(crc & 1));
    }
    return ~crc;
}

static uint32_t masked(const void *data, size_t n)
{
    uint32_t crc = crc32c(data, n);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void add_fixed(struct mega_text *to, uint64_t value, int bytes)
{
    unsigned char raw[8];
    for (int i = 0; i < bytes; i++) raw[i] = (unsigned char)(value >> 8 * i);
    mega_text_add_bytes(to, raw, (size_t)bytes);
}

static void add_varint(struct mega_text *to, uint64_t value)
{
    unsigned char byte;
    do {
        byte = (unsigned char)(value & 0x7F) | (value > 0x7F ? 0x80 : 0);
        mega_text_add_bytes(to, &byte, 1);
        value >>= 7;
    } while (value);
}

static void add_record(struct mega_text *to, const struct mega_text *event)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)event->size >> 8 * i);
    mega_text_add_bytes(to, length, 8);
    add_fixed(to, masked(length, 8), 4);
    mega_text_add_bytes(to, event->data, event->size);
    add_fixed(to, masked(event->data, event->size), 4);
    if (event->failed) to->failed = true;
}

static void begin_event(struct mega_text *event, double date_s)
{
    uint64_t bits;
    memcpy(&bits, &date_s, sizeof bits);
    add_varint(event, 1 << 3 | 1);
    add_fixed(event, bits, 8);
}

static void add_bytes_field(struct mega_text *to, int field, const void *data, size_t n)
{
    add_varint(to, (uint64_t)field << 3 | 2);
    add_varint(to, n);
    mega_text_add_bytes(to, data, n);
}

void mega_tfevents_version(struct mega_text *to, double date_s)
{
    static const char version[] = "brain.Event:2";
    struct mega_text event = { 0 };
    begin_event(&event, date_s);
    add_bytes_field(&event, 3, version, sizeof version - 1);
    add_record(to, &event);
    mega_text_done(&event);
}

void mega_tfevents_scalar(
    struct mega_text *to, double date_s, int64_t step, const char *tag, float value)
{
    struct mega_text event = { 0 }, inner = { 0 }, summary = { 0 };
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_bytes_field(&inner, 1, tag, strlen(tag));
    add_varint(&inner, 2 << 3 | 5);
    add_fixed(&inner, bits, 4);
    add_bytes_field(&summary, 1, inner.data, inner.size);
    begin_event(&event, date_s);
    add_varint(&event, 2 << 3);
    add_varint(&event, (uint64_t)step);
    add_bytes_field(&event, 5, summary.data, summary.size);
    add_record(to, &event);
    mega_text_done(&event);
    mega_text_done(&inner);
    mega_text_done(&summary);
}

/* What is read back of an event: field 2 right after the nine bytes of the wall time, then the
 * tag inside the summary, as we write them; 0 and an empty tag where there are none. */
struct event {
    int64_t step;
    const unsigned char *tag;
    size_t tag_size;
};

/* the number after the byte `field`; false if another field stands there */
static bool take_varint(
    const unsigned char *p, size_t n, size_t *at, unsigned char field, uint64_t *value)
{
    if (*at >= n || p[*at] != field) return false;
    *value = 0;
    for (size_t i = *at + 1, shift = 0; i < n && shift < 64; i++, shift += 7) {
        *value |= (uint64_t)(p[i] & 0x7F) << shift;
        if (p[i] & 0x80) continue;
        *at = i + 1;
        return true;
    }
    return false;
}

static struct event read_event(const unsigned char *p, size_t n)
{
    struct event e = { 0 };
    uint64_t step, size;
    size_t at = 9;
    if (!take_varint(p, n, &at, 2 << 3, &step)) return e;
    e.step = (int64_t)step;
    if (!take_varint(p, n, &at, 5 << 3 | 2, &size) ||
        !take_varint(p, n, &at, 1 << 3 | 2, &size) ||
        !take_varint(p, n, &at, 1 << 3 | 2, &size) || size > n - at)
        return e;
    e.tag = p + at;
    e.tag_size = (size_t)size;
    return e;
}

static bool is_later(const struct event *e, int64_t step, const char *late)
{
    size_t n = late ? strlen(late) : 0;
    return e->step > step ||
           (late && e->step == step && e->tag_size >= n && !memcmp(e->tag, late, n));
}

size_t mega_tfevents_keep(const void *data, size_t n, int64_t step, const char *late)
{
    const unsigned char *p = data;
    enum { FRAME = 16 };
    size_t at = 0;
    while (n - at >= FRAME) {
        uint64_t length = 0;
        for (int i = 7; i >= 0; i--) length = length << 8 | p[at + (size_t)i];
        if (length > n - at - FRAME) break;
        const unsigned char *event = p + at + 12;
        uint32_t crc = 0;
        for (int i = 3; i >= 0; i--) crc = crc << 8 | event[length + (uint64_t)i];
        if (crc != masked(event, (size_t)length)) break;
        struct event e = read_event(event, (size_t)length);
        if (is_later(&e, step, late)) break;
        at += FRAME + (size_t)length;
    }
    return at;
}
