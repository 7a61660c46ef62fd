/* The table of mega bench variants: each variant against the base. */
#ifndef MEGA_CLI_VARIANT_TABLE_H
#define MEGA_CLI_VARIANT_TABLE_H

#include "cli/variant_run.h"

/* Runs by variant, then seed; the first variant is the base. */
struct mega_variant_runs {
    struct mega_variant_run *item; /* [variants * seeds] */
    int variants, seeds;
};

void mega_variant_table_markdown(struct mega_text *to, const struct mega_variant_runs *runs);
void mega_variant_table_csv(struct mega_text *to, const struct mega_variant_runs *runs);

/* All that is done, a line each. */
void mega_variant_table_jsonl(struct mega_text *to, const struct mega_variant_runs *runs);

#endif
