/* What a head does, in a word: the functions of Voita et al. (2019), section 5. */
#ifndef MEGA_STUDY_HEAD_ROLE_H
#define MEGA_STUDY_HEAD_ROLE_H

#include "study/head_functions.h"
#include "study/head_syntax.h"

enum mega_head_role_kind {
    MEGA_ROLE_NONE,
    MEGA_ROLE_POSITION, /* 90 % of its queries look to one offset */
    MEGA_ROLE_SYNTAX, /* it follows a dependency more often than the commonest distance does */
    MEGA_ROLE_RARE,   /* it looks at the rarest token of a text more often than not */
    MEGA_ROLES
};

struct mega_head_role {
    enum mega_head_role_kind kind; /* the first that it has, in this order */
    int count;                     /* functions that it has */
    double share;                  /* of the first */
    char label[16];                /* "-1", "s-v", "r"; "" without any */
    char words[160];               /* all of them, for people */
};

/* `syntax` NULL: not known. */
void mega_head_role_find(struct mega_head_role *role, const struct mega_head_functions *f,
    const struct mega_head_syntax *syntax, int64_t cell);

/* "position", ...: of classes and of JSON. */
extern const char *const mega_head_role_names[MEGA_ROLES];

#endif
