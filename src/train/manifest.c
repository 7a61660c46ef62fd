#include "train/manifest.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"

static void add_text(struct mega_text *t, const char *name, const char *value)
{
    mega_text_add(t, "  \"%s\": ", name);
    mega_json_add_text(t, value, strlen(value));
    mega_text_add(t, ",\n");
}

static void add_machine(struct mega_text *t, const mega_context *c)
{
    struct utsname name;
    if (uname(&name) == 0) {
        char machine[256];
        snprintf(machine, sizeof machine, "%.60s %.100s %.60s", name.sysname, name.release,
            name.machine);
        add_text(t, "machine", machine);
    }
    add_text(t, "isa", mega_isa_name(c->limits.isa));
    mega_text_add(t, "  \"threads\": %d,\n", c->work.threads);
}

/* the changes that earlier resumes were allowed, then the new ones */
static void add_resumes(struct mega_text *t, const char *path, const char *fresh)
{
    struct mega_document old = { 0 };
    const char *comma = "\n    ";
    if (mega_path_exists(path) && !mega_json_load(&old, path)) {
        const struct mega_node *list = mega_node_find(old.root, "resumes");
        for (const struct mega_node *n = list ? list->first : NULL; n; n = n->next) {
            mega_text_add(t, "%s", comma);
            mega_json_add_node(t, n, 4);
            comma = ",\n    ";
        }
        mega_document_done(&old);
    }
    mega_text_add(t, "%s%s", *fresh ? comma : "", fresh);
}

mega_status mega_manifest_write(const struct mega_run_folder *f, const mega_context *c,
    const struct mega_recipe *r, const struct mega_job *task, const char *resumes)
{
    struct mega_text t = { 0 };
    char date[32], path[1280];
    time_t now = (time_t)mega_date_s();
    struct tm utc;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    mega_text_add(&t, "{\n");
    add_text(&t, "megac", MEGA_VERSION);
    add_text(&t, "date", date);
    add_machine(&t, c);
    mega_text_add(&t, "  \"seed\": %lld,\n  \"data\": {", (long long)r->seed);
    bool more = false;
    for (enum mega_split s = MEGA_SPLIT_TRAIN; s <= MEGA_SPLIT_VALID; s++) {
        mega_text_add(&t, "%s\n    \"%s\": { \"%s\": %lld, \"hash\": \"%016llx\" }",
            more ? "," : "", mega_split_names[s], mega_job_facts(task, s).unit,
            (long long)mega_job_facts(task, s).units,
            (unsigned long long)mega_job_facts(task, s).hash);
        more = true;
    }
    mega_run_folder_path(f, path, "manifest.json");
    mega_text_add(&t, "\n  },\n  \"resumes\": [");
    add_resumes(&t, path, resumes);
    mega_text_add(&t, "]\n}\n");
    mega_status status = t.failed ? mega_fail(MEGA_NO_MEMORY, "no memory for the manifest")
                                  : mega_file_write(path, t.data, t.size);
    mega_text_done(&t);
    return status;
}

mega_status mega_manifest_check(const struct mega_run_folder *f, const struct mega_job *task,
    bool force, void (*say)(void *, const char *), void *arg)
{
    char path[1280], key[64], now[32];
    struct mega_document d = { 0 };
    MEGA_TRY(mega_json_load(&d, mega_run_folder_path(f, path, "manifest.json")));
    mega_status status = MEGA_OK;
    for (enum mega_split s = MEGA_SPLIT_TRAIN; s <= MEGA_SPLIT_VALID && !status; s++) {
        snprintf(key, sizeof key, "data.%s.hash", mega_split_names[s]);
        snprintf(now, sizeof now, "%016llx", (unsigned long long)mega_job_facts(task, s).hash);
        const struct mega_node *was = mega_node_find(d.root, key);
        if (was && was->text && !strcmp(was->text, now)) continue;
        status = mega_fail(MEGA_BAD_ARGUMENT,
            "the %s data are not those that this run began with: %s is %s in manifest.json, "
            "now %s; resume with the old file, or with --force",
            mega_split_names[s], key, was && was->text ? was->text : "missing", now);
        if (!force) continue;
        if (say) say(arg, mega_message());
        status = MEGA_OK;
    }
    mega_document_done(&d);
    return status;
}
