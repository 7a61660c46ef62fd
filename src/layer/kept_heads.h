/* Which heads of an attention are left, by the numbers that they had in the model that was
 * first trained: heads that were removed leave the others' names and groups as they were
 * (Michel et al., 2019; Voita et al., 2019).
 *
 *   "0 2-7; all; -"     layers from the first one: heads 0, 2 ... 7; all; none. "": all of all
 *
 * Query head h of H reads key and value head h / (H / G), which stays as long as one of its
 * query heads does. Lists of other units (blocks of a feed-forward's channels) are alike. */
#ifndef MEGA_LAYER_KEPT_HEADS_H
#define MEGA_LAYER_KEPT_HEADS_H

#include "graph/param.h"

#define MEGA_KEPT_HEADS_OPTION(offset)                                                         \
    {                                                                                          \
        "kept_heads", MEGA_OPTION_TEXT, offset, "", 0, 0, NULL, "LIST",                        \
            "heads that were not removed, by their original numbers, a list a layer: "         \
            "\"0 2-7; all; -\"; empty: all (mega heads prune)",                                \
            0                                                                                  \
    }
#define MEGA_KEPT_BRANCHES_OPTION(offset)                                                      \
    {                                                                                          \
        "kept_heads", MEGA_OPTION_TEXT, offset, "", 0, 0, NULL, "LIST",                        \
            "blocks whose attention, one head, was not removed, a list a layer: \"all; -\"; "  \
            "empty: all (mega heads prune)",                                                   \
            0                                                                                  \
    }

/* Groups that stand next to each other and have equally many heads: one call of attention. */
struct mega_head_part {
    int64_t head, heads;   /* from the first one that is left, counted among those */
    int64_t group, groups; /* likewise */
};

struct mega_kept_heads {
    int64_t heads, groups;       /* left: of queries, of keys and values */
    const int32_t *number;       /* [heads] original numbers, rising */
    const int32_t *group_number; /* [groups] */
    const struct mega_head_part *part;
    int64_t parts;
};

/* What a list is of, for messages: its option, one of its units. */
struct mega_kept_words {
    const char *option, *unit;
};
extern const struct mega_kept_words mega_kept_heads_words, mega_kept_cross_words,
    mega_kept_channels_words;

/* Reads the list of layer `layer` of units 0 ... units-1; kept[h] becomes whether unit h is
 * left. Refuses what is no such list. */
mega_status mega_kept_read(const struct mega_kept_words *words, const char *text, int64_t layer,
    int64_t units, bool *kept);
mega_status mega_kept_heads_read(const char *text, int64_t layer, int64_t heads, bool *kept);

/* Refuses a text with other than `layers` lists; NULL and "" are fine. */
mega_status mega_kept_check(
    const struct mega_kept_words *words, const char *text, int64_t layers);
mega_status mega_kept_heads_check(const char *text, int64_t layers);

/* Adds the list of one layer to a text, after "; " where it is not the first. */
struct mega_text;
void mega_kept_heads_print(struct mega_text *to, int64_t heads, const bool *kept);

/* The same, resolved in the store's memory; all units where the text is NULL or empty. */
void mega_kept_build(mega_build *b, struct mega_kept_heads *k,
    const struct mega_kept_words *words, const char *text, int64_t layer, int64_t units,
    int64_t groups);
void mega_kept_heads_build(mega_build *b, struct mega_kept_heads *k, const char *text,
    int64_t layer, int64_t heads, int64_t groups);

#endif
