#include "train/report_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 4096 };

static bool find_file(const struct mega_report_run *run, const char *name, char path[PATH])
{
    return snprintf(path, PATH, "%s/%s", run->folder, name) < PATH && mega_path_exists(path);
}

static void say(struct mega_report_run *run, const char *what, const char *how)
{
    mega_text_add(&run->missing, "%s: %s\n", what, how);
}

static void read_log(struct mega_report_run *run)
{
    char path[PATH];
    if (!find_file(run, "log.jsonl", path)) {
        say(run, "log.jsonl", "absent");
        return;
    }
    if (mega_run_log_read(&run->log, path)) say(run, "log.jsonl", mega_message());
    if (run->log.broken)
        mega_text_add(&run->missing,
            "log.jsonl: %lld of %lld lines are not whole and were left out; the first is line "
            "%lld\n",
            (long long)run->log.broken, (long long)run->log.lines,
            (long long)run->log.first_broken);
}

static void read_recipe(struct mega_report_run *run)
{
    char path[PATH];
    if (!find_file(run, "recipe.full.yaml", path)) {
        bool given = find_file(run, "recipe.yaml", path);
        say(run, "recipe.full.yaml", given ? "absent; recipe.yaml is shown" : "absent");
        if (!given) return;
    }
    if (mega_file_read(path, &run->recipe) ||
        mega_yaml_parse(&run->settings, path, run->recipe.data, run->recipe.size)) {
        say(run, "recipe", mega_message());
        run->settings.root = NULL;
    }
}

static void read_manifest(struct mega_report_run *run)
{
    char path[PATH];
    if (!find_file(run, "manifest.json", path)) {
        say(run, "manifest.json", "absent");
    } else if (mega_json_load(&run->manifest, path)) {
        say(run, "manifest.json", mega_message());
        run->manifest.root = NULL;
    }
}

/* the number of "step-000750", -1 for other names */
static long long step_of(const char *name)
{
    size_t digits = strncmp(name, "step-", 5) ? 0 : strspn(name + 5, "0123456789");
    return digits && !name[5 + digits] ? atoll(name + 5) : -1;
}

/* the model of the newest step folder that has one, else one in the folder itself */
static bool find_model(struct mega_report_run *run, char path[PATH])
{
    struct mega_names names;
    long long newest = -1;
    strcpy(run->model_path, "model.safetensors");
    bool found = find_file(run, run->model_path, path);
    if (mega_folder_list(run->folder, &names)) return found;
    for (int i = 0; i < names.n; i++) {
        char name[sizeof run->model_path];
        if (step_of(names.item[i]) <= newest) continue;
        snprintf(name, sizeof name, "%.200s/model.safetensors", names.item[i]);
        if (!find_file(run, name, path)) continue;
        newest = step_of(names.item[i]);
        strcpy(run->model_path, name);
    }
    mega_names_done(&names);
    return find_file(run, run->model_path, path);
}

static void read_model(struct mega_report_run *run)
{
    char path[PATH];
    if (!find_model(run, path)) {
        say(run, "step-*/model.safetensors", "absent");
    } else if (mega_safetensors_open(&run->model, path)) {
        say(run, run->model_path, mega_message());
        run->model = (struct mega_safetensors){ 0 };
    }
}

static void set_label(struct mega_report_run *run)
{
    size_t end = strlen(run->folder), begin;
    while (end > 1 && run->folder[end - 1] == '/') end--;
    for (begin = end; begin > 0 && run->folder[begin - 1] != '/';) begin--;
    snprintf(run->label, sizeof run->label, "%.*s", (int)(end - begin), run->folder + begin);
}

mega_status mega_report_run_open(struct mega_report_run *run, const char *folder)
{
    *run = (struct mega_report_run){ .folder = folder };
    if (!mega_path_is_folder(folder))
        return mega_fail(MEGA_BAD_ARGUMENT, "%s: expected the folder of a run, found %s",
            folder, mega_path_exists(folder) ? "a file" : "nothing");
    set_label(run);
    read_log(run);
    read_recipe(run);
    read_manifest(run);
    read_model(run);
    if (run->log.lines || run->recipe.size || run->manifest.root || run->model.n)
        return MEGA_OK;
    mega_report_run_close(run);
    return mega_fail(MEGA_BAD_ARGUMENT,
        "%s: expected a run folder, but it holds neither log.jsonl nor recipe.full.yaml nor "
        "manifest.json nor a model",
        folder);
}

void mega_report_run_close(struct mega_report_run *run)
{
    mega_run_log_done(&run->log);
    mega_text_done(&run->recipe);
    mega_text_done(&run->missing);
    if (run->settings.root) mega_document_done(&run->settings);
    if (run->manifest.root) mega_document_done(&run->manifest);
    if (run->model.map.data) mega_safetensors_close(&run->model);
    *run = (struct mega_report_run){ 0 };
}
