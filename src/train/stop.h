/* Asking a run to stop: signals, looked at between steps, inside validation and checkpoint
 * writing. */
#ifndef MEGA_TRAIN_STOP_H
#define MEGA_TRAIN_STOP_H

#include <stdbool.h>

/* SIGINT, SIGTERM and SIGUSR1 (Slurm's warning) from now on only set a flag; SIGXFSZ becomes an
 * error of the write (EFBIG), and SIGPIPE one of the pipe. Call once, from a program's main
 * thread. */
void mega_stop_listen(void);

/* The signal that came, or 0. */
int mega_stop_signal(void);
const char *mega_stop_name(int signal);

#endif
