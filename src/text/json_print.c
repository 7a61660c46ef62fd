#include "format/node.h"
#include "text/train.h"

static void add_tokens(const struct mega_json_model *m, struct mega_text *out)
{
    bool begun = false;
    for (int32_t id = 0; id < m->pieces->n; id++) {
        const struct mega_piece *p = &m->pieces->piece[id];
        if (!(p->flags & MEGA_PIECE_SPECIAL)) continue;
        mega_text_add(out, "%s\n    {\"id\": %d, \"content\": ", begun ? "," : "", (int)id);
        mega_json_add_text(out, p->text.data, p->text.size);
        mega_text_add(out, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                           "\"normalized\": false, \"special\": true}");
        begun = true;
    }
}

void mega_json_model_print(const struct mega_json_model *m, struct mega_text *out)
{
    mega_text_add(out,
        "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        "  \"added_tokens\": [");
    add_tokens(m, out);
    mega_text_add(out, "],\n  \"normalizer\": null,\n%s", m->parts);
    mega_text_add(out, "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": ");
    if (m->unk)
        mega_json_add_text(out, m->unk, strlen(m->unk));
    else
        mega_text_add(out, "null");
    mega_text_add(out,
        ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": "
        "false, \"byte_fallback\": false, \"ignore_merges\": false,\n    \"vocab\": {");
    for (int32_t id = 0; id < m->pieces->n; id++) {
        mega_text_add(out, "%s\n      ", id ? "," : "");
        mega_json_add_text(out, m->pieces->piece[id].text.data, m->pieces->piece[id].text.size);
        mega_text_add(out, ": %d", (int)id);
    }
    mega_text_add(out, "},\n    \"merges\": [");
    for (int32_t i = 0; i < m->n_merges; i++) {
        mega_text_add(out, "%s\n      ", i ? "," : "");
        mega_json_add_text(out, m->merges[i], strlen(m->merges[i]));
    }
    mega_text_add(out, "]}\n}\n");
}
