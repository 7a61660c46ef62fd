/* A Transformer that reads one text and writes another (Vaswani et al., 2017): an encoder, and
 * a decoder whose layers attend to what the encoder made, too.
 *
 *   context = encoder(source)                  [B, S, D]
 *   logits  = decoder(target, context)         [B, T, V]
 *
 * Both are Transformers with all their options, "encoder." and "decoder." in front of their
 * names; the two tables may be one. */
#ifndef MEGA_MODEL_ENCODER_DECODER_H
#define MEGA_MODEL_ENCODER_DECODER_H

#include "model/transformer.h"

struct mega_encoder_decoder_options {
    struct mega_transformer_options encoder, decoder;
    bool tied;              /* one table of tokens (tie_enc_dec_embedding) */
    int64_t context_places; /* source places that a stream keeps, so that it is read once; rows
                               are padded to them. 0: it comes with every pass */
};

/* All defaults; vocabularies are the caller's to set. */
void mega_encoder_decoder_defaults(struct mega_encoder_decoder_options *o);

/* Sets an option by name, as a Transformer's table has it: of both sides, or with enc_ or dec_
 * before it of one; or tie_enc_dec_embedding; or a preset, which sets all that it knows and
 * therefore comes first. Lists go into the arena. */
mega_status mega_encoder_decoder_set(struct mega_arena *arena,
    struct mega_encoder_decoder_options *o, const char *name, const char *value);

struct mega_encoder_decoder {
    struct mega_transformer encoder, decoder;
};

void mega_encoder_decoder_build(mega_build *b, struct mega_encoder_decoder *m,
    const struct mega_encoder_decoder_options *options);

/* ids [B, S] I32 -> [B, S, D], zero at places that are not real. */
mega_tensor *mega_encoder_decoder_context(mega_run *r, const struct mega_encoder_decoder *m,
    mega_tensor *ids, const struct mega_rows *rows);

/* ids [B, T] I32, context with its rows -> [B, T, D]; the same with the head: logits [B, T, V].
 * With a stream attached any number of new tokens; the context comes with every pass, or, where
 * the stream keeps it, with the first one (NULL after that, its rows always). */
mega_tensor *mega_encoder_decoder_features(mega_run *r, const struct mega_encoder_decoder *m,
    mega_tensor *ids, const struct mega_rows *rows, mega_tensor *context,
    const struct mega_rows *context_rows);
mega_tensor *mega_encoder_decoder_run(mega_run *r, const struct mega_encoder_decoder *m,
    mega_tensor *ids, const struct mega_rows *rows, mega_tensor *context,
    const struct mega_rows *context_rows);

#endif
