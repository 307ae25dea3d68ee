#ifndef DEP2P_CQUICSHIM_H
#define DEP2P_CQUICSHIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/// An event descriptor that wakes an epoll; -1 with errno on failure.
int dep2p_wake_create(void);
void dep2p_wake_signal(int descriptor);
void dep2p_wake_drain(int descriptor);
int dep2p_epoll_create(void);
void dep2p_name_thread(const char *name);

/// epoll_pwait2 with a timeout in nanoseconds: negative waits for ever, 0 polls.
int dep2p_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t timeout_ns);

#endif
