/* Every kernel that this machine can run against the reference of its op, on all examples: one
 * test a kernel; an argument such as '*ema*' leaves those whose names match. */
#include <stdio.h>
#include <string.h>

#include "kernel/check.h"

#include "cmocka_all.h"

static struct mega_check check;

static void holds(void **state)
{
    const struct mega_kernel_entry *kernel = *state;
    check.accepted = check.refused = 0;
    check.worst = 0;
    if (mega_check_kernel(&check, kernel)) fail_msg("%s", mega_message());
    print_message("%d examples, %d refused, largest error %.2f of the bound\n",
        (int)check.accepted, (int)check.refused, check.worst);
    /* a kernel that takes none of them would go unchecked, except where nothing is left to
     * widen
     */
    assert_true(check.accepted > 0 || kernel->widened);
}

int main(int argc, char **argv)
{
    enum { MOST = 1024 };
    static struct CMUnitTest tests[MOST];
    static char names[MOST][64];
    size_t n = 0;
    for (const struct mega_kernel_entry *e = mega_kernels; e->op; e++) {
        if (n == MOST) return 1; /* none goes unchecked */
        if (e->isa > mega_isa_here()) continue;
        if (!strcmp(e->kernel->name, "bf16") && !mega_bf16_products_here()) continue;
        snprintf(names[n], sizeof names[n], "%s/%s %s", e->room, e->kernel->name, e->op->name);
        tests[n] = (struct CMUnitTest){
            .name = names[n], .test_func = holds, .initial_state = (void *)(uintptr_t)e
        };
        n++;
    }
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    if (mega_check_init(&check)) return 1;
    int failed = _cmocka_run_group_tests("kernels", tests, n, NULL, NULL);
    mega_check_done(&check);
    return failed;
}
