/* Weights of other programs into our models, by tables of names. */
#ifndef MEGA_MODEL_IMPORT_H
#define MEGA_MODEL_IMPORT_H

#include "format/tensors.h"
#include "model/rename.h"

/* Fills every parameter of the store from the source. What stands before the table's own names
 * ("module.", "transformer.") is found out. A tensor that is missing, of another shape or of
 * another model is refused by name; two copies of tied tensors must be equal. Buffers are read
 * where the table says that names are ours, else they keep their value. A store without numbers
 * is checked alone: names and shapes. */
mega_status mega_import(struct mega_store *s, const struct mega_tensors *from,
    const struct mega_name_table *names, const struct mega_rename_heads *heads);

#endif
