#include "text/byte_chars.h"

#include "text/unicode.h"

/* the printable bytes of Latin-1, as ranges; the soft hyphen is none of them */
static bool is_printable(uint32_t byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
           (byte >= 174 && byte <= 255);
}

uint32_t mega_byte_char(unsigned char byte)
{
    if (is_printable(byte)) return byte;
    /* 0-32, then 127-160, then 173 */
    return 256u + (byte <= 32 ? byte : byte == 173 ? 67u : byte - 127u + 33u);
}

int mega_byte_of_char(uint32_t code)
{
    if (code < 256) return is_printable(code) ? (int)code : -1;
    uint32_t place = code - 256;
    return place <= 32 ? (int)place : place < 67 ? (int)place + 94 : place == 67 ? 173 : -1;
}

unsigned char mega_byte_in_order(int place)
{
    int seen = 0;
    for (uint32_t code = 0; code < 256 + 68; code++) {
        int byte = mega_byte_of_char(code);
        if (byte >= 0 && seen++ == place) return (unsigned char)byte;
    }
    return 0;
}

bool mega_bytes_of_chars(const char *text, size_t size, struct mega_text *out)
{
    size_t was = out->size;
    uint32_t code;
    int length;
    for (const char *p = text, *end = text + size; p < end; p += length) {
        length = mega_char_read(p, end, &code);
        int byte = length ? mega_byte_of_char(code) : -1;
        if (byte < 0) {
            out->size = was;
            return false;
        }
        char c = (char)byte;
        mega_text_add_bytes(out, &c, 1);
    }
    return true;
}

void mega_chars_of_bytes(const char *bytes, size_t size, struct mega_text *out)
{
    char c[4];
    for (size_t i = 0; i < size; i++)
        mega_text_add_bytes(
            out, c, (size_t)mega_char_write(mega_byte_char((unsigned char)bytes[i]), c));
}
