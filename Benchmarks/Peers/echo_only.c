// What receiving, accepting and answering cost by epoll and by io_uring: sends each client's frames back to it, unmasked.
//
// No limits, no checks. Usage: echo_only PORT epoll|sends|turn|ring
//   epoll  `epoll_wait`, and a `recv` and a `send` for each that is ready
//   sends  the same, with one io_uring_enter for all sends
//   turn   `epoll_wait`, then one io_uring_enter for all of their receives and one for the sends
//   ring   nothing but io_uring: multishot accepts and receives, with buffers that wait in the kernel
#define _GNU_SOURCE
#include "ring.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { PIECE = 4096, BUFFERS = 1024, MAXIMUM = 65536 };
static unsigned char buffers[BUFFERS][PIECE];
static char is_open[MAXIMUM];
static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

// Unmasks the whole frames in `bytes`, in place, and makes a server's of them; returns their length.
static size_t reframe(unsigned char *bytes, size_t length) {
    size_t in = 0, out = 0;
    while (in + 6 <= length) {
        size_t head = 2, payload = bytes[in + 1] & 127;
        if (payload == 126) payload = (size_t)bytes[in + 2] << 8 | bytes[in + 3], head = 4;
        if (payload == 127 || in + head + 4 + payload > length) break;
        unsigned char key[4], *from = bytes + in + head + 4;
        memcpy(key, bytes + in + head, 4);
        memmove(bytes + out, bytes + in, head);
        bytes[out + 1] &= 127;
        out += head;
        for (size_t i = 0; i < payload; i++) bytes[out + i] = from[i] ^ key[i & 3];
        out += payload;
        in += head + 4 + payload;
    }
    return out;
}

// What is to be sent for what came; its length is put in the place of that.
static const void *respond(int fd, unsigned char *bytes, size_t *length) {
    if (is_open[fd]) return *length = reframe(bytes, *length), bytes;
    is_open[fd] = 1;
    *length = sizeof answer - 1;
    return answer;
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) perror("listen"), exit(1);
    return listener;
}

static void opened(int fd) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    is_open[fd] = 0;
}

static void serve_epoll(int listener, int by_turn, int sends_by_turn) {
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    static struct epoll_event events[512];
    for (;;) {
        int ready = epoll_wait(epoll, events, RING, -1), queued = 0;
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    opened(fd);
                    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
                }
            } else if (by_turn) {
                struct io_uring_sqe *sqe = ring_next();
                sqe->opcode = IORING_OP_RECV;
                sqe->fd = fd;
                sqe->addr = (unsigned long)buffers[queued];
                sqe->len = PIECE;
                sqe->msg_flags = MSG_DONTWAIT;
                sqe->user_data = (uint64_t)queued++ << 32 | (unsigned)fd;
            } else {
                unsigned char *buffer = buffers[sends_by_turn ? i : 0];
                ssize_t got = recv(fd, buffer, PIECE, 0);
                if (got <= 0) {
                    close(fd);
                    continue;
                }
                size_t length = (size_t)got;
                const void *bytes = respond(fd, buffer, &length);
                if (length && sends_by_turn) ring_send(fd, bytes, length, 0);
                else if (length) send(fd, bytes, length, MSG_NOSIGNAL);
            }
        }
        if (queued) ring_enter((unsigned)queued);
        for (struct io_uring_cqe *cqe; queued && (cqe = ring_answer()); ring_done()) {
            int fd = (int)(uint32_t)cqe->user_data;
            if (cqe->res <= 0) {
                if (cqe->res != -11) close(fd);
                continue;
            }
            size_t length = (size_t)cqe->res;
            const void *bytes = respond(fd, buffers[cqe->user_data >> 32], &length);
            if (length) ring_send(fd, bytes, length, 0);
        }
        if (!ring.queued) continue;
        ring_enter(ring.queued);
        while (ring_answer()) ring_done();
    }
}

enum { ACCEPT = 1, RECEIVE, SEND };
static struct io_uring_buf_ring *spare;
static unsigned short spare_tail;

static void give_back(unsigned short id) {
    struct io_uring_buf *buffer = spare->bufs + (spare_tail++ & (BUFFERS - 1));
    buffer->addr = (unsigned long)buffers[id], buffer->len = PIECE, buffer->bid = id;
    __atomic_store_n(&spare->tail, spare_tail, __ATOMIC_RELEASE);
}

static void ask(int what, int fd) {
    struct io_uring_sqe *sqe = ring_next();
    sqe->fd = fd;
    sqe->user_data = (uint64_t)what << 56 | (unsigned)fd;
    if (what == ACCEPT) {
        sqe->opcode = IORING_OP_ACCEPT;
        sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    } else {
        sqe->opcode = IORING_OP_RECV;
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->flags = IOSQE_BUFFER_SELECT;
    }
}

static void serve_ring(int listener) {
    spare = mmap(0, BUFFERS * sizeof *spare->bufs, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct io_uring_buf_reg reg = {.ring_addr = (unsigned long)spare, .ring_entries = BUFFERS};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, &reg, 1)) perror("buffers"), exit(69);
    for (int id = 0; id < BUFFERS; id++) give_back((unsigned short)id);
    ask(ACCEPT, listener);
    for (;;) {
        ring_enter(1);
        for (struct io_uring_cqe *cqe; (cqe = ring_answer()); ring_done()) {
            int what = (int)(cqe->user_data >> 56), fd = (int)(uint32_t)cqe->user_data;
            unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
            if (what == ACCEPT) {
                if (!(cqe->flags & IORING_CQE_F_MORE)) ask(ACCEPT, listener);
                if (cqe->res < 0) continue;
                opened(cqe->res);
                ask(RECEIVE, cqe->res);
            } else if (what == RECEIVE) {
                size_t length = cqe->res > 0 ? (size_t)cqe->res : 0;
                const void *bytes = length ? respond(fd, buffers[id], &length) : 0;
                // The buffer is given back when the send of it is done, which is tried at once.
                if (length) ring_send(fd, bytes, length, (uint64_t)SEND << 56 | (uint64_t)(bytes == buffers[id] ? id + 1 : 0) << 32 | (unsigned)fd);
                if (cqe->flags & IORING_CQE_F_BUFFER && bytes != buffers[id]) give_back(id);
                if (cqe->res == 0) close(fd);
                else if (!(cqe->flags & IORING_CQE_F_MORE)) ask(RECEIVE, fd);
            } else if (what == SEND) {
                unsigned sent = (unsigned)(cqe->user_data >> 32) & 0xFFFFFF;
                if (sent) give_back((unsigned short)(sent - 1));
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: echo_only PORT epoll|sends|turn|ring\n"), 64;
    int listener = listen_on(atoi(argv[1]));
    if (strcmp(argv[2], "epoll")) ring_open(16384);
    if (!strcmp(argv[2], "ring")) serve_ring(listener);
    else serve_epoll(listener, !strcmp(argv[2], "turn"), !strcmp(argv[2], "sends"));
}
