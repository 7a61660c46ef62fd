#include "cli/language.h"

#include <stdio.h>

#include "base/fail.h"
#include "base/file.h"
#include "train/run_folder.h"

mega_status mega_language_path(const char *path, char out[1280])
{
    if (!mega_path_exists(path))
        return mega_fail(MEGA_IO, "cannot open %s: there is no such file or folder", path);
    /* a folder of another program may hold no config.json, and is none of a run's */
    if (mega_path_is_folder(path) && !mega_run_folder_model(path, out)) return MEGA_OK;
    snprintf(out, 1280, "%.1270s", path);
    return MEGA_OK;
}

mega_status mega_language_generator(mega_generator **out, mega_context *c, const char *path,
    const struct mega_language_choice *choice)
{
    char folder[1280], precision[16];
    MEGA_TRY(mega_language_path(path, folder));
    mega_choice_name(MEGA_PRECISION_CHOICES, choice->precision, precision, sizeof precision);
    return mega_generator_open(out, c, folder,
        &(struct mega_generator_options){
            choice->tokenizer, precision, (enum mega_begin)choice->begin, choice->truncate });
}
