/* Every kernel that this machine can run against the reference of its op, on all examples. */
#include "kernel/check.h"

#include "cmocka_all.h"

static void every_kernel_is_held_to_its_reference(void **state)
{
    (void)state;
    static struct mega_check k;
    enum mega_isa here = mega_isa_here();
    assert_int_equal(mega_check_init(&k), 0);
    int failures = 0;
    for (const struct mega_kernel_entry *e = mega_kernels; e->op; e++) {
        if (e->isa > here) continue;
        k.accepted = k.refused = 0;
        k.worst = 0;
        if (mega_check_kernel(&k, e)) {
            print_error("%s\n", mega_message());
            failures++;
        }
        print_message("%s/%s %s: %d examples, %d refused, worst error %.2f of the bound\n",
            e->room, e->kernel->name, e->op->name, (int)k.accepted, (int)k.refused, k.worst);
        /* a kernel that takes none of them is not checked */
        failures += !k.accepted;
    }
    mega_check_done(&k);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_is_held_to_its_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
