/* Tokens one by one, as mega bench step times them: after a context of random tokens that is
 * read outside the clock, always the likeliest one. */
#ifndef MEGA_CLI_BENCH_GENERATE_H
#define MEGA_CLI_BENCH_GENERATE_H

#include "infer/stepper.h"
#include "model/model.h"

struct mega_bench_generator {
    struct mega_step_model model;
    struct mega_model_stepper stepper;
    int32_t *last; /* [B] the newest token of each row */
};

/* B rows with room for so many places each. */
mega_status mega_bench_generator_init(struct mega_bench_generator *g, const mega_model *m,
    mega_run *run, int64_t B, int64_t places);
void mega_bench_generator_done(struct mega_bench_generator *g);

/* Reads T tokens into each row: ids [B, T]. */
mega_status mega_bench_generator_read(
    struct mega_bench_generator *g, const int32_t *ids, int64_t T);

/* The rows become those of another generator over the same model. */
void mega_bench_generator_copy(
    struct mega_bench_generator *to, const struct mega_bench_generator *from);

/* Makes n tokens more of each row. */
mega_status mega_bench_generator_make(struct mega_bench_generator *g, int64_t n);

#endif
