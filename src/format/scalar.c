#include "format/scalar.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* files have a decimal point, whatever the program around this library chose for its user */
static locale_t c_locale_;

static void open_c_locale(void)
{
    c_locale_ = newlocale(LC_ALL_MASK, "C", NULL);
}

static locale_t c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_c_locale);
    return c_locale_;
}

static bool is(const char *text, const char *a, const char *b, const char *c)
{
    return !strcmp(text, a) || !strcmp(text, b) || !strcmp(text, c);
}

static const char *digits(const char *p, const char *allowed)
{
    return p + strspn(p, allowed);
}

static bool read_int(struct mega_node *n, const char *start, int base)
{
    char *end;
    errno = 0;
    long long value = strtoll(start, &end, base);
    if (*end || errno) return false;
    n->kind = MEGA_NODE_INT;
    n->integer = value;
    n->real = value || *start != '-' ? (double)value : -0.0;
    return true;
}

/* [-+]? ( digits ( . digits* )? | . digits ) ( [eE] [-+]? digits )? */
static bool looks_real(const char *p)
{
    static const char decimal[] = "0123456789";
    if (*p == '-' || *p == '+') p++;
    const char *whole = p, *after = digits(p, decimal);
    bool any = after > whole;
    if (*after == '.') {
        const char *fraction = after + 1;
        after = digits(fraction, decimal);
        any = any || after > fraction;
    }
    if (!any) return false;
    if (*after == 'e' || *after == 'E') {
        const char *exponent = after + 1;
        if (*exponent == '-' || *exponent == '+') exponent++;
        after = digits(exponent, decimal);
        if (after == exponent) return false;
    }
    return !*after;
}

static bool read_special(struct mega_node *n, const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    bool inf = is(p, ".inf", ".Inf", ".INF"), nan = p == text && is(p, ".nan", ".NaN", ".NAN");
    if (!inf && !nan) return false;
    n->kind = MEGA_NODE_REAL;
    n->real = nan ? NAN : *text == '-' ? -INFINITY : INFINITY;
    return true;
}

void mega_scalar_resolve(struct mega_node *n)
{
    const char *p = n->text;
    n->kind = MEGA_NODE_TEXT;
    if (strlen(p) != n->size) return; /* a NUL inside */
    if (!*p || !strcmp(p, "~") || is(p, "null", "Null", "NULL")) {
        n->kind = MEGA_NODE_NULL;
    } else if (is(p, "true", "True", "TRUE") || is(p, "false", "False", "FALSE")) {
        n->kind = MEGA_NODE_BOOL;
        n->boolean = *p == 't' || *p == 'T';
    } else if (!strncmp(p, "0x", 2) && p[2] && !*digits(p + 2, "0123456789abcdefABCDEF")) {
        read_int(n, p + 2, 16);
    } else if (!strncmp(p, "0o", 2) && p[2] && !*digits(p + 2, "01234567")) {
        read_int(n, p + 2, 8);
    } else if (looks_real(p)) {
        bool whole = !strpbrk(p, ".eE");
        if (whole && read_int(n, p, 10)) return;
        n->kind = MEGA_NODE_REAL;
        n->real = strtod_l(p, NULL, c_locale());
    } else {
        read_special(n, p);
    }
}

int mega_utf8_length(const unsigned char *p, const unsigned char *end)
{
    if (p >= end) return 0;
    if (*p < 0x80) return 1;
    int n = *p >= 0xF0 && *p <= 0xF4  ? 4
            : *p >= 0xE0 && *p < 0xF0 ? 3
            : *p >= 0xC2 && *p < 0xE0 ? 2
                                      : 0;
    if (!n || end - p < n) return 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if (n == 3 && ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F))) return 0;
    if (n == 4 && ((*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))) return 0;
    return n;
}

void mega_real_print(double value, char *out)
{
    if (fabs(value) < 1e15 && value == floor(value) && !(value == 0 && signbit(value))) {
        snprintf(out, 32, "%.0f", value);
        return;
    }
    locale_t users = uselocale(c_locale());
    for (int figures = 1; figures <= 17; figures++) {
        snprintf(out, 32, "%.*g", figures, value);
        if (strtod(out, NULL) == value) break;
    }
    uselocale(users);
}
