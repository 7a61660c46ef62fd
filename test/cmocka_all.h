/* cmocka and what it needs before it. */
#ifndef MEGA_TEST_CMOCKA_ALL_H
#define MEGA_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
