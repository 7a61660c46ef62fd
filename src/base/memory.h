/* Memory of this process and of the machine, as the system counts it; 0 where it does not tell.
 */
#ifndef MEGA_BASE_MEMORY_H
#define MEGA_BASE_MEMORY_H

#include <stddef.h>

size_t mega_memory_resident(void); /* bytes of this process, now */
size_t mega_memory_peak(void);     /* the most that was resident so far */
size_t mega_memory_free(void);     /* what the machine could still give */

#endif
