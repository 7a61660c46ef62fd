/* Tensors in several files and their index, as Hugging Face's tools write them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/node.h"
#include "format/safetensors.h"

/* Tensors first ... first + n - 1 are shard `number` of `shards`. */
struct shard {
    int first, n;
};

/* fills in order; a tensor that is larger than a shard has one of its own */
static int cut(const struct mega_st_tensor *tensor, int n, int64_t most, struct shard *to)
{
    int shards = 0;
    int64_t size = 0;
    for (int i = 0; i < n; i++) {
        int64_t more = (int64_t)mega_st_size(&tensor[i]);
        if (!shards || (most && size + more > most)) {
            to[shards++] = (struct shard){ i, 0 };
            size = 0;
        }
        to[shards - 1].n++;
        size += more;
    }
    return shards;
}

static void add_path(struct mega_text *to, const char *folder, int shard, int shards)
{
    mega_text_clear(to);
    if (*folder) mega_text_add(to, "%s/", folder);
    if (shards == 1)
        mega_text_add(to, "model.safetensors");
    else
        mega_text_add(to, "model-%05d-of-%05d.safetensors", shard + 1, shards);
}

/* ---- the index ---- */

struct place {
    const char *name;
    int shard;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->name, ((const struct place *)b)->name);
}

static mega_status write_index(const char *folder, const struct mega_st_tensor *tensor, int n,
    const struct shard *shard, int shards)
{
    struct mega_text text = { 0 }, name = { 0 };
    struct place *place = calloc((size_t)n + 1, sizeof *place);
    if (!place) return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", folder);
    size_t total = 0;
    for (int k = 0; k < shards; k++)
        for (int i = shard[k].first; i < shard[k].first + shard[k].n; i++) {
            place[i] = (struct place){ tensor[i].name, k };
            total += mega_st_size(&tensor[i]);
        }
    qsort(place, (size_t)n, sizeof *place, by_name);
    mega_text_add(&text,
        "{\n  \"metadata\": {\n    \"total_size\": %zu\n  },\n  \"weight_map\": {", total);
    for (int i = 0; i < n; i++) {
        mega_text_add(&text, "%s\n    ", i ? "," : "");
        mega_json_add_text(&text, place[i].name, strlen(place[i].name));
        add_path(&name, "", place[i].shard, shards);
        mega_text_add(&text, ": \"%s\"", name.data);
    }
    mega_text_add(&text, "\n  }\n}\n");
    mega_text_clear(&name);
    mega_text_add(&name, "%s/model.safetensors.index.json", folder);
    mega_status status = text.failed || name.failed
                             ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", folder)
                             : mega_file_write(name.data, text.data, text.size);
    mega_text_done(&text);
    mega_text_done(&name);
    free(place);
    return status;
}

/* ---- the files ---- */

mega_status mega_safetensors_write_folder(const char *folder,
    const struct mega_st_tensor *tensor, int n, const struct mega_st_entry *meta, int n_meta,
    int64_t most)
{
    struct mega_text path = { 0 };
    struct shard *shard = calloc((size_t)n + 1, sizeof *shard);
    if (!shard) return mega_fail(MEGA_NO_MEMORY, "no memory to write %s", folder);
    int shards = cut(tensor, n, most, shard);
    mega_status status = MEGA_OK;
    for (int k = 0; k < shards && !status; k++) {
        add_path(&path, folder, k, shards);
        status = path.failed ? mega_fail(MEGA_NO_MEMORY, "no memory to write %s", folder)
                             : mega_safetensors_write(path.data, tensor + shard[k].first,
                                   shard[k].n, meta, n_meta);
    }
    if (!status && shards > 1) status = write_index(folder, tensor, n, shard, shards);
    mega_text_done(&path);
    free(shard);
    return status;
}
