#include "cli/profile.h"

#include <stdio.h>

static const double measure_s = 1.5; /* as mega doctor --measure */

void mega_profile_show(mega_context *c, const struct mega_profile *p, bool json)
{
    struct mega_peak peak = { .fma_all = 1, .copy_all = 1 };
    struct mega_text text = { 0 };
    if (mega_peak_measure(&c->work, c->limits.isa, measure_s, &peak))
        fprintf(stderr, "mega: the shares of the limit are meaningless: %s\n", mega_message());
    mega_profile_print(p, &peak, &text);
    fputs(text.failed ? "" : text.data, stderr);
    mega_text_clear(&text);
    if (json) mega_profile_print_json(p, &peak, &text);
    if (json) fputs(text.failed ? "null" : text.data, stdout);
    mega_text_done(&text);
}
