// Tells ThreadSanitizer what Swift's Mutex does out of its sight.
//
// Synchronization.Mutex takes and gives up its lock by an atomic operation, which is compiled into the calling code and
// therefore instrumented. When two threads meet, it calls into libswiftSynchronization instead, which is not instrumented, and
// which has the kernel hand over the lock (FUTEX_LOCK_PI): ThreadSanitizer sees no order between the two threads and
// reports a race inside `withLock` that is none. These functions take the place of the three that wait and wake, call
// them, and say in between what they did to the lock at the address `self`.
//
// Preloaded into the tests by tools/sanitize.sh. Nothing else of a report is changed, and none is suppressed.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) const void *self

// Of the sanitizer's runtime in the executable; absent in processes that are built without it.
void __tsan_acquire(const void *) __attribute__((weak));
void __tsan_release(const void *) __attribute__((weak));

// _MutexHandle._lockSlow(_: UInt32), _unlockSlow() and _tryLockSlow() -> Bool
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"

typedef SWIFT void (*LockSlow)(uint32_t, SELF);
typedef SWIFT void (*UnlockSlow)(SELF);
typedef SWIFT bool (*TryLockSlow)(SELF);

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void unlock_slow(SELF) __asm__(UNLOCK);
SWIFT bool try_lock_slow(SELF) __asm__(TRY_LOCK);

SWIFT void lock_slow(uint32_t thread, SELF) {
    ((LockSlow)dlsym(RTLD_NEXT, LOCK))(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT void unlock_slow(SELF) {
    if (__tsan_release) __tsan_release(self);
    ((UnlockSlow)dlsym(RTLD_NEXT, UNLOCK))(self);
}

SWIFT bool try_lock_slow(SELF) {
    bool taken = ((TryLockSlow)dlsym(RTLD_NEXT, TRY_LOCK))(self);
    if (taken && __tsan_acquire) __tsan_acquire(self);
    return taken;
}
