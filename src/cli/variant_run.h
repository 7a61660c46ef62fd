/* One training of mega bench variants: a recipe with a seed, in a process and a run folder of
 * its own, and what came of it. */
#ifndef MEGA_CLI_VARIANT_RUN_H
#define MEGA_CLI_VARIANT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "base/text.h"
#include "cli/child.h"
#include "cli/open.h"

struct mega_variant_run {
    char name[64]; /* of its recipe */
    int64_t seed;
    uint64_t
        key; /* of the recipe's text and all settings: what was measured is measured once */
    bool done;
    double loss, bits_per_byte; /* of the last validation */
    double tokens_per_s;        /* the median over updates */
    double tokens, steps, parameters, peak_mb;
    double load;    /* of the machine before it */
    char note[320]; /* why there is nothing; "" */
};

/* What all runs have in common. */
struct mega_variant_setup {
    const char *self, *recipes, *out; /* this program; folders */
    const struct mega_texts *set;     /* keys of all recipes, "optim.steps=100" */
    const struct mega_open *open;
    struct mega_child_limits limits;
};

/* A recipe of the folder, with its key; refuses a name that has none. */
mega_status mega_variant_run_init(struct mega_variant_run *r,
    const struct mega_variant_setup *setup, const char *name, int64_t seed);

/* Trains, or goes on where a stopped run had come to. What goes wrong there is its note; an
 * error means that measuring must end (MEGA_STOPPED: a signal asked for it). */
mega_status mega_variant_run_train(
    struct mega_variant_run *r, const struct mega_variant_setup *setup);

/* A line of JSON; and the other way round: fills a run that the line is about (same name, seed
 * and key). */
void mega_variant_run_print(const struct mega_variant_run *r, struct mega_text *to);
void mega_variant_run_recall(struct mega_variant_run *r, const char *line, size_t n);

#endif
