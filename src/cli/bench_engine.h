/* Who computes in mega bench models: this program, or a peer in one of its forms. */
#ifndef MEGA_CLI_BENCH_ENGINE_H
#define MEGA_CLI_BENCH_ENGINE_H

#include "cli/bench_subject.h"

struct mega_engine {
    char name[64];                      /* "mega.c", "torch real compiled" */
    bool peer, real, compiled, dropout; /* dropout: on attention weights */
    bool bf16;
};

enum { MEGA_ENGINES = 32 };

struct mega_engines {
    struct mega_engine item[MEGA_ENGINES];
    int n;
};

/* The forms measured unless told otherwise; bfloat16 where the processor multiplies it. */
const char *mega_engine_forms(void);

/* Ours, then a peer for each form of a list with commas ("eager,real-compiled-bf16"). */
mega_status mega_engines_read(struct mega_engines *to, const char *forms);

/* The engine has this model: the real form is of Mega's classifier alone; dropout on attention
 * weights is of the Transformer's in training; of language models there are peers of some, and
 * none that makes tokens one by one is compiled. */
bool mega_engine_takes(const struct mega_engine *e, const struct mega_subject *s);

/* What all command lines have in common. */
struct mega_bench_setup {
    char self[1024], folder[1024]; /* this program; where the peers' scripts are */
    const char *python;            /* the peers' interpreter */
    const char *isa, *rooms;       /* of ours; "": any */
    int threads, steps, warmup;
};

/* Finds this program and the scripts: in `folder`, or, where that is "", beside the installed
 * data or in the source tree around the program. */
mega_status mega_bench_setup_find(struct mega_bench_setup *s, const char *folder, bool peers);

/* The command line that measures a model once and prints a JSON object. */
void mega_engine_command(const struct mega_engine *e, const struct mega_subject *s,
    const struct mega_bench_setup *setup, struct mega_words *to);

#endif
