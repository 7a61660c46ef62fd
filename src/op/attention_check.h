/* What attention refuses, each time by name: attributes, shapes, and features that do not go
 * together. */
#ifndef MEGA_OP_ATTENTION_CHECK_H
#define MEGA_OP_ATTENTION_CHECK_H

#include "op/contracts.h"

mega_status mega_attention_call_check(const struct mega_call *c);

#endif
