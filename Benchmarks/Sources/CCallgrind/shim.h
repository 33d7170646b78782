// Valgrind's client requests, which are macros, as functions. Outside of valgrind they do nothing.
#include <malloc.h>
#include <valgrind/callgrind.h>

static inline int callgrind_is_running(void) { return RUNNING_ON_VALGRIND; }
static inline void callgrind_begin_instrumentation(void) { CALLGRIND_START_INSTRUMENTATION; }
static inline void callgrind_end_instrumentation(void) { CALLGRIND_STOP_INSTRUMENTATION; }
static inline void callgrind_toggle_collection(void) { CALLGRIND_TOGGLE_COLLECT; }
static inline void callgrind_forget(void) { CALLGRIND_ZERO_STATS; }
static inline void callgrind_dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }

// What the heap holds, in bytes.
static inline long heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return (long)(info.uordblks + info.hblkhd);
}
