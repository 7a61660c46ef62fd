/* Status codes and the message that goes with them.
 *
 * Every function of the library that can fail returns a mega_status: 0 is fine. The code is for
 * programs, the message for people: it says what was expected, what was found, where (file,
 * line, key, tensor) and what to do. The library never exits, aborts or prints. */
#ifndef MEGAC_STATUS_H
#define MEGAC_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mega_status {
    MEGA_OK = 0,
    MEGA_BAD_ARGUMENT, /* a value given by the caller or user: option, shape, recipe key */
    MEGA_BAD_FILE,     /* a file's content is not what its format asks for */
    MEGA_IO,           /* the system refused: open, read, write, sync, space */
    MEGA_NO_MEMORY,
    MEGA_UNSUPPORTED, /* valid, but not something that this build or model does */
    MEGA_NOT_FINITE,  /* a loss or gradient is NaN or infinite */
    MEGA_STOPPED,     /* a signal or a limit ended the work early; what was done is saved */
    MEGA_INTERNAL     /* our own invariant is broken: please report */
} mega_status;

/* A fixed word for the code ("bad file"). Borrowed, never NULL. */
const char *mega_status_name(mega_status status);

/* The message of the latest failure on this thread. Borrowed, valid until the next failure;
 * never NULL. */
const char *mega_message(void);

#ifdef __cplusplus
}
#endif
#endif
