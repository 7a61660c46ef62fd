/* Parsed sentences for the commands mega heads ...: --conllu FILE. */
#ifndef MEGA_CLI_HEADS_SENTENCES_H
#define MEGA_CLI_HEADS_SENTENCES_H

#include "cli/heads_session.h"
#include "study/head_syntax.h"

/* How often heads follow dependencies of a file's sentences, at most `most` of them (0: all).
 * Refuses classifiers. */
mega_status mega_heads_syntax(
    struct mega_heads_session *h, const char *path, int64_t most, struct mega_head_syntax *out);

#endif
