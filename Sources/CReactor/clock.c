#include "creactor.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(clockid_t clock) {
    struct timespec time;
    // None of the three can fail on a kernel that has epoll_pwait2.
    (void)clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void dep2p_clock_read(dep2p_clock_reading *result) {
    result->wall = nanoseconds(CLOCK_REALTIME);
    result->passed = nanoseconds(CLOCK_BOOTTIME);
    result->awake = nanoseconds(CLOCK_MONOTONIC);
}

// A timer that is never due: it only is cancelled, when the clock is set.
static bool arm(int descriptor) {
    const struct itimerspec never = {.it_value = {.tv_sec = (time_t)1 << 40}};
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0;
}

int dep2p_clock_watch_open(void) {
    int descriptor = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (descriptor < 0) return -errno;
    if (arm(descriptor)) return descriptor;
    int error = errno;
    close(descriptor);
    return -error;
}

int dep2p_clock_watch_again(int descriptor) {
    uint64_t count;
    // ECANCELED: it was set, which is what it is armed anew for.
    (void)!read(descriptor, &count, sizeof count);
    // The same where it is set again between the two: it is armed all the same.
    return arm(descriptor) || errno == ECANCELED ? 0 : errno;
}
