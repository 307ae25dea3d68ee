#define _GNU_SOURCE
#include "creactor.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <time.h>

int dep2p_wake_create(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void dep2p_wake_signal(int descriptor) { eventfd_write(descriptor, 1); }

void dep2p_wake_drain(int descriptor) {
    eventfd_t value;
    eventfd_read(descriptor, &value);
}

int dep2p_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

void dep2p_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int dep2p_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns) {
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    // Linux has it from 5.11 on, and valgrind 3.19 not at all; the other waits whole milliseconds, and not less than was asked
    // for. Only the network thread comes here.
    static bool is_missing = false;
    if (!is_missing) {
        int count = epoll_pwait2(epoll, events, capacity, timeout_ns < 0 ? NULL : &timeout, NULL);
        // EPERM: a filter of system calls that is older than this one, as of systemd 247 or an old container.
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
        is_missing = true;
    }
    int64_t milliseconds = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return epoll_wait(epoll, events, capacity, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
}
