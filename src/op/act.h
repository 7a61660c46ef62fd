/* Pointwise functions and their derivatives in double: what references and tests use. */
#ifndef MEGA_OP_ACT_H
#define MEGA_OP_ACT_H

#include "op/contracts.h"

double mega_act(enum mega_act act, double x);
double mega_act_slope(enum mega_act act, double x); /* derivative at x */

#endif
