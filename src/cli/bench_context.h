/* What a longer context costs a language model: after some lengths of random text the size of
 * its state, the memory that is resident, and the time a token takes to be read or made. */
#ifndef MEGA_CLI_BENCH_CONTEXT_H
#define MEGA_CLI_BENCH_CONTEXT_H

#include "graph/precision.h"
#include "model/model.h"

enum { MEGA_CONTEXTS = 16 };

/* How it is measured. */
struct mega_context_plan {
    int64_t context[MEGA_CONTEXTS]; /* lengths, rising */
    int n;
    int64_t read, make; /* tokens that are read, and made, on the clock */
    int rounds;
    int precision;  /* enum mega_precision */
    double seconds; /* a context is given up if reading it takes longer; 0: never */
};

/* Of one length. Times are of one token, in microseconds, one a round. */
struct mega_context_row {
    int64_t context;
    int64_t state; /* bytes of the state of one text */
    double read_memory,
        make_memory;           /* bytes resident once it was read, once tokens were made */
    double *read_us, *make_us; /* [rounds] */
    char note[160];            /* why there are no numbers; "": there are */
};

struct mega_context_result {
    struct mega_context_row row[MEGA_CONTEXTS];
    int n, rounds;
};

/* Rounds go through all lengths in turn, from states that are kept, so that a machine whose
 * speed drifts treats all alike. */
mega_status mega_context_measure(struct mega_context_result *to, mega_context *c,
    const mega_model *m, const struct mega_context_plan *plan);
void mega_context_result_done(struct mega_context_result *r);

/* Median of the rounds, and of the ratios to the first row within each round; NaN where there
 * are none. */
struct mega_context_summary {
    double us, least, most, ratio;
};
struct mega_context_summary mega_context_summarise(
    const struct mega_context_result *r, int row, bool made);

#endif
