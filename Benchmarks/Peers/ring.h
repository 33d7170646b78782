// io_uring for the limits to compare with, without liburing: sends that are attempted at once, and other calls.
#pragma once
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RING = 256 };
static struct {
    int fd;
    unsigned *sq_head, *sq_tail, *cq_head, *cq_tail, cq_mask, queued;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring;

static void ring_open(unsigned cq_entries) {
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                .cq_entries = cq_entries};
    ring.fd = (int)syscall(SYS_io_uring_setup, RING, &p);
    if (ring.fd < 0) perror("io_uring_setup"), exit(69);
    size_t sq = p.sq_off.array + p.sq_entries * 4, cq = p.cq_off.cqes + p.cq_entries * sizeof *ring.cqes;
    int flags = MAP_SHARED | MAP_POPULATE, rights = PROT_READ | PROT_WRITE;
    char *queues = mmap(0, sq > cq ? sq : cq, rights, flags, ring.fd, IORING_OFF_SQ_RING);
    ring.sqes = mmap(0, p.sq_entries * sizeof *ring.sqes, rights, flags, ring.fd, IORING_OFF_SQES);
    if (queues == MAP_FAILED || (void *)ring.sqes == MAP_FAILED) perror("mmap"), exit(69);
    ring.sq_head = (void *)(queues + p.sq_off.head), ring.sq_tail = (void *)(queues + p.sq_off.tail);
    ring.cq_head = (void *)(queues + p.cq_off.head), ring.cq_tail = (void *)(queues + p.cq_off.tail);
    ring.cq_mask = *(unsigned *)(queues + p.cq_off.ring_mask);
    ring.cqes = (void *)(queues + p.cq_off.cqes);
    for (unsigned i = 0; i < p.sq_entries; i++) ((unsigned *)(queues + p.sq_off.array))[i] = i;
}

// Submits the queued entries and waits for `awaited` answers.
static void ring_enter(unsigned awaited) {
    __atomic_store_n(ring.sq_tail, *ring.sq_tail + ring.queued, __ATOMIC_RELEASE);
    while (ring.queued || awaited) {
        int taken = (int)syscall(SYS_io_uring_enter, ring.fd, ring.queued, awaited, IORING_ENTER_GETEVENTS, 0, 0);
        if (taken < 0) perror("io_uring_enter"), exit(69);
        ring.queued -= (unsigned)taken;
        if (!ring.queued) break;
    }
}

// The next entry, empty; if there is none, the queued entries are submitted first.
static struct io_uring_sqe *ring_next(void) {
    if (ring.queued == RING) ring_enter(0);
    struct io_uring_sqe *sqe = ring.sqes + ((*ring.sq_tail + ring.queued++) & (RING - 1));
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

// The next answer; null: there is none yet. It is gone with `ring_done`.
static struct io_uring_cqe *ring_answer(void) {
    unsigned head = *ring.cq_head;
    return head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) ? 0 : ring.cqes + (head & ring.cq_mask);
}

static void ring_done(void) { __atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE); }

static void ring_send(int fd, const void *bytes, size_t length, unsigned long long name) {
    struct io_uring_sqe *sqe = ring_next();
    sqe->opcode = IORING_OP_SEND;
    sqe->fd = fd;
    sqe->addr = (unsigned long)bytes;
    sqe->len = (unsigned)length;
    sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    sqe->user_data = name;
}
