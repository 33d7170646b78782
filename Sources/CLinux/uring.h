// io_uring without liburing: the calls, which have no wrapper in Glibc, the memory barriers, and the filling of an entry.
#pragma once
#include "shim.h"
#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static inline int uring_setup(unsigned entries, struct io_uring_params *parameters) {
    return (int)syscall(SYS_io_uring_setup, entries, parameters);
}

static inline int uring_enter(int ring, unsigned submitted, unsigned awaited, unsigned flags) {
    return (int)syscall(SYS_io_uring_enter, ring, submitted, awaited, flags, (void *)0, (size_t)0);
}

// What the other side has written before it stored the value at `place` is to be seen.
static inline uint32_t uring_load(const uint32_t *place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }

// What was written before is to be seen by who loads `value`.
static inline void uring_store(uint32_t *place, uint32_t value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }

// Gives `count` entries what they have in common, once for all: `uring_put` fills in what differs.
static inline void uring_prepare(struct io_uring_sqe *entries, unsigned count, uint8_t opcode, uint32_t flags) {
    memset(entries, 0, count * sizeof *entries);
    for (unsigned index = 0; index < count; index++) {
        entries[index].opcode = opcode;
        entries[index].msg_flags = flags;
    }
}

// A call on `descriptor` that reads or fills `count` bytes at `bytes`; `name` comes back with its result.
static inline void uring_put(
    struct io_uring_sqe *entry, int descriptor, const void *bytes, uint32_t count, uint64_t name) {
    entry->fd = descriptor;
    entry->addr = (uint64_t)(uintptr_t)bytes;
    entry->len = count;
    entry->user_data = name;
}
