/* Time for measuring and for stamping. */
#ifndef MEGA_BASE_CLOCK_H
#define MEGA_BASE_CLOCK_H

double mega_clock_s(void);  /* monotonic, seconds */
double mega_thread_s(void); /* that the calling thread has run on a processor, seconds */
double mega_date_s(void);   /* seconds since 1970 */

#endif
