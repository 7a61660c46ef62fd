/* The table of mega bench models, in Markdown, CSV and JSON lines. */
#ifndef MEGA_CLI_BENCH_TABLE_H
#define MEGA_CLI_BENCH_TABLE_H

#include "cli/bench_row.h"
#include "kernel/peak.h"

struct mega_bench_machine {
    char cpu[128];
    struct mega_peak peak;
    double load; /* before the first run */
};

/* Markdown, piece by piece: what was measured on, one line a row, what the columns mean. */
void mega_table_head(struct mega_text *to, const struct mega_bench_machine *m);
void mega_table_row(
    struct mega_text *to, const struct mega_row *row, const struct mega_row_summary *s);
void mega_table_foot(struct mega_text *to, const struct mega_rows_list *rows, int rounds,
    const struct mega_bench_setup *setup);

/* All rows; an empty field where there is no number. */
void mega_table_csv(struct mega_text *to, const struct mega_rows_list *rows,
    const struct mega_bench_machine *m);

/* The machine, then every run as it was printed, and why rows have none: objects with a `kind`
 * of machine, run or failure. */
void mega_table_jsonl(struct mega_text *to, const struct mega_rows_list *rows,
    const struct mega_bench_machine *m);

#endif
