/* Every reference file of the optimiser, through the same adapter as script/golden. */
#include <stdio.h>

#include "cmocka_all.h"
#include "golden/optim_case.c"

#define FOLDER MEGA_SOURCE "/test/golden/optim"

static void every_reference_file_passes_within_its_tolerance(void **state)
{
    (void)state;
    struct mega_names names;
    assert_int_equal(mega_folder_list(FOLDER, &names), MEGA_OK);
    assert_int_equal(names.n, 20);
    for (int i = 0; i < names.n; i++) {
        char path[512];
        struct mega_safetensors s;
        struct golden_result r;
        snprintf(path, sizeof path, "%s/%s", FOLDER, names.item[i]);
        assert_int_equal(mega_safetensors_open(&s, path), MEGA_OK);
        int result = golden_optim_case(&s, &r);
        if (result) print_error("%s: %s\n", names.item[i], r.reason);
        assert_int_equal(result, GOLDEN_PASSED);
        mega_safetensors_close(&s);
    }
    mega_names_done(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reference_file_passes_within_its_tolerance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
