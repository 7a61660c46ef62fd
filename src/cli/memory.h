/* Memory of this process, as the system counts it. */
#ifndef MEGA_CLI_MEMORY_H
#define MEGA_CLI_MEMORY_H

/* The most that was resident so far, in units of 10^6 bytes; 0 if the system does not tell. */
double mega_memory_peak_mb(void);

#endif
