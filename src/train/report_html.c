#include "train/report_html.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/scalar.h"

static const char *entity(unsigned char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\n':
    case '\t': return NULL;
    default: return c < 0x20 || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

void mega_html_add_bytes(struct mega_text *to, const char *bytes, size_t n)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + n;
    while (at < end) {
        int length = mega_utf8_length(at, end);
        const char *instead = length ? entity(*at) : "\xef\xbf\xbd";
        if (instead)
            mega_text_add_bytes(to, instead, strlen(instead));
        else
            mega_text_add_bytes(to, at, (size_t)length);
        at += length ? length : 1;
    }
}

void mega_html_add(struct mega_text *to, const char *text)
{
    mega_html_add_bytes(to, text, strlen(text));
}

void mega_html_count(int64_t n, char *out)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; i < size; i++) {
        *out++ = digits[i];
        int left = size - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') *out++ = ',';
    }
    *out = 0;
}

void mega_html_duration(double seconds, char *out)
{
    if (!(seconds >= 0 && seconds < 1e12)) {
        strcpy(out, "\xe2\x80\x93");
    } else if (seconds < 60) {
        snprintf(out, 32, "%.3g s", seconds);
    } else {
        long long minutes = (long long)(seconds / 60);
        if (minutes < 60)
            snprintf(
                out, 32, "%lld m %02d s", minutes, (int)(seconds - 60.0 * (double)minutes));
        else
            snprintf(out, 32, "%lld h %02lld m", minutes / 60, minutes % 60);
    }
}

void mega_html_value(double value, char *out)
{
    double size = fabs(value);
    if (size >= 1e3 && size < 1e15)
        mega_html_count(llround(value), out);
    else
        snprintf(out, 32, "%.4g", value);
}

static const struct mega_quantity quantities[] = {
    { "loss", "Loss", "", 1, true, false },
    { "accuracy", "Accuracy", "%", 100, false, false },
    { "grad_norm", "Gradient norm", "", 1, true, true },
    { "lr", "Learning rate", "", 1, false, false },
    { "tokens_per_s", "Speed", "tokens/s", 1, false, false },
    { "peak_share", "Share of the machine's peak", "%", 100, false, false },
    { "ppl", "Perplexity", "", 1, true, true },
    { "perplexity", "Perplexity", "", 1, true, true },
    { "bpb", "Bits per byte", "", 1, true, false },
    { "bpc", "Bits per character", "", 1, true, false },
    { "penalty", "Penalty of open heads", "", 1, true, false },
    { "expected_heads", "Heads expected open", "", 1, true, false },
    { "active_heads", "Heads not closed", "", 1, true, false },
    { "partial_heads", "Heads half open", "", 1, true, false },
    { "expected_groups", "Groups of heads expected open", "", 1, true, false },
    { "active_groups", "Groups of heads not closed", "", 1, true, false },
    { "expected_branches", "Attention branches expected open", "", 1, true, false },
    { "active_branches", "Attention branches not closed", "", 1, true, false },
    { "expected_channel_blocks", "Blocks of channels expected open", "", 1, true, false },
    { "active_channel_blocks", "Blocks of channels not closed", "", 1, true, false },
    { "expected_cost", "Parameters of gated units expected open", "%", 100, true, false },
    { "active_cost", "Parameters of gated units not closed", "%", 100, true, false },
};

struct mega_quantity mega_quantity_find(const char *name)
{
    for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++)
        if (!strcmp(quantities[i].name, name)) return quantities[i];
    bool loss = strstr(name, "loss") || strstr(name, "error");
    return (struct mega_quantity){ name, name, "", 1, loss, false };
}

void mega_quantity_print(const struct mega_quantity *q, double value, char *out)
{
    char number[32];
    if (!strcmp(q->unit, "%") && isfinite(value))
        snprintf(number, sizeof number, "%.2f", value * q->scale);
    else
        mega_html_value(value * q->scale, number);
    snprintf(out, 48, "%s%s%s", number, *q->unit ? " " : "", q->unit);
}
