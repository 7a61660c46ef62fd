/* The machine, as the system describes it. */
#ifndef MEGA_CLI_MACHINE_H
#define MEGA_CLI_MACHINE_H

#include <stdbool.h>

/* The processor's name; "unknown" if the system does not tell. */
void mega_machine_cpu(char out[128]);

/* The processor lists this feature ("avx512_bf16"). */
bool mega_machine_has(const char *feature);

double mega_machine_load(void); /* average of the last minute; 0 if the system is silent */

#endif
