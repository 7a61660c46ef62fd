/* The catalogue of variants and the Transformer's option table hold each other. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "model/transformer_options.h"
#include "model/variants.h"

static void an_entry_is_of_the_table(const struct mega_variant *v)
{
    char name[64], value[64];
    assert_true(mega_variant_setting(v, 0, name, value));
    for (int i = 0; mega_variant_setting(v, i, name, value); i++)
        if (!mega_option_find(mega_transformer_table, name))
            fail_msg("variant %s: there is no option %s", v->name, name);
    if (!mega_variant_is_in(v, mega_transformer_table))
        fail_msg("variant %s: no such value: %s", v->name, v->options);
    for (int i = 0; v->more && mega_choice_name(v->more, i, name, sizeof name) > 0; i++)
        if (!mega_option_find(mega_transformer_table, name))
            fail_msg("variant %s: there is no option %s", v->name, name);
}

static void an_entry_says_something(const struct mega_variant *v)
{
    if (!*v->title || !*v->slot || !*v->mathematics || !*v->cost)
        fail_msg("variant %s: title, slot, mathematics or cost is empty", v->name);
    for (const char *p = v->name; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
            fail_msg("variant %s: expected small letters, digits and hyphens", v->name);
    assert_ptr_equal(mega_variant_find(v->name), v);
    assert_true(v->adds && v->paper && v->executor && v->pitfalls && v->conflicts);
}

static void every_entry_names_options_that_there_are(void **state)
{
    (void)state;
    for (const struct mega_variant *const *g = mega_variant_groups; *g; g++)
        for (const struct mega_variant *v = *g; v->name; v++) {
            an_entry_is_of_the_table(v);
            an_entry_says_something(v);
        }
}

/* as what turns an entry on, or as one that matters with it */
static bool is_in_the_catalogue(const char *option)
{
    char name[64], value[64];
    for (const struct mega_variant *const *g = mega_variant_groups; *g; g++)
        for (const struct mega_variant *v = *g; v->name; v++) {
            if (v->more && mega_choice_find(v->more, option) >= 0) return true;
            for (int i = 0; mega_variant_setting(v, i, name, value); i++)
                if (!strcmp(name, option)) return true;
        }
    return false;
}

static void every_option_has_an_entry_or_is_no_variant(void **state)
{
    (void)state;
    for (const struct mega_option *o = mega_transformer_table; o->name; o++)
        if (o->type != MEGA_OPTION_ALIAS && !is_in_the_catalogue(o->name) &&
            mega_choice_find(mega_variant_core, o->name) < 0)
            fail_msg("option %s: no variant has it, and it is not listed as plain", o->name);
}

static void what_is_listed_as_plain_is_there_and_no_variant(void **state)
{
    char name[64];
    (void)state;
    for (int i = 0; mega_choice_name(mega_variant_core, i, name, sizeof name) > 0; i++) {
        if (!mega_option_find(mega_transformer_table, name))
            fail_msg("there is no option %s", name);
        if (is_in_the_catalogue(name)) fail_msg("option %s is a variant's", name);
    }
}

/* a choice that is not the default is some entry's, or one of an option that others have */
static void every_choice_of_the_options_that_select_has_an_entry(void **state)
{
    static const char *const selecting[] = { "positions", "rotary", "qk_norm", "rel_pos",
        "attn_fn", "norm", "placement", "residual", "branch_scale" };
    static const char none_of_ours[] = "none|laplace|relu2|batchnorm|syncbatchnorm|k_rms|"
                                       "ada_rmsnorm|pre|post|rope|add|softmax|layernorm|drop";
    (void)state;
    for (size_t k = 0; k < sizeof selecting / sizeof *selecting; k++) {
        const struct mega_option *o = mega_option_find(mega_transformer_table, selecting[k]);
        char value[64], setting[160];
        assert_non_null(o);
        for (int i = 0; mega_choice_name(o->choices, i, value, sizeof value) >= 0; i++) {
            bool found = mega_choice_find(none_of_ours, value) >= 0;
            snprintf(setting, sizeof setting, "%s=%s", o->name, value);
            for (const struct mega_variant *const *g = mega_variant_groups; *g; g++)
                for (const struct mega_variant *v = *g; v->name; v++)
                    found = found || strstr(v->options, setting);
            if (!found) fail_msg("%s: no variant has it", setting);
        }
    }
}

static void a_misspelt_name_has_a_nearest(void **state)
{
    (void)state;
    assert_null(mega_variant_find("aliby"));
    assert_string_equal(mega_variant_nearest("aliby"), "alibi");
    assert_null(mega_variant_nearest("xyzxyzxyzxyz"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_names_options_that_there_are),
        cmocka_unit_test(every_option_has_an_entry_or_is_no_variant),
        cmocka_unit_test(what_is_listed_as_plain_is_there_and_no_variant),
        cmocka_unit_test(every_choice_of_the_options_that_select_has_an_entry),
        cmocka_unit_test(a_misspelt_name_has_a_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
