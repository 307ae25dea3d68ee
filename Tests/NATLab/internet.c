// The lab's internet: routes IP packets between TUN devices in the network namespaces of the sites, and delays them.
//
// A TUN device hands over single packets with complete checksums, whatever offloads the hosts use, so what is
// delayed, lost or too large here is what a wire would carry. Reads commands from standard input, one a line, and
// answers each with "ok" or "error: …"; ends at the end of its input.
//
//   attach NAME NAMESPACE DEVICE     make DEVICE in /run/netns/NAMESPACE
//   route ADDRESS/LENGTH NAME        send what goes there to NAME (the first match counts)
//   delay MILLISECONDS               one way, of every packet
//   block NAME NAME | unblock NAME NAME    drop everything between two
//   lose NAME PER_THOUSAND           drop that many packets of those from and to NAME, each by itself, at random
//   size NAME BYTES                  drop packets to and from NAME that are larger, silently; 0 ends it
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 64, MAX_ROUTES = 256, QUEUE = 16384, MAX_PACKET = 2048, READS_PER_TURN = 64 };

struct port {
    char name[32];
    int descriptor;
    int largest, lost;
    bool blocked[MAX_PORTS];
};

struct route {
    uint8_t prefix[16];
    int family, length, port;
};

struct packet {
    uint64_t due;
    int port, length;
    uint8_t data[MAX_PACKET];
};

static struct port ports[MAX_PORTS];
static struct route routes[MAX_ROUTES];
static int port_count, route_count, epoll_fd, timer_fd, home_ns;
static struct packet *queue;
static unsigned head, tail;  // the delay is the same for all, so the queue is in order
static uint64_t delay_ns;

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// xorshift: a packet's fate is its own, and the same run after run.
static bool drawn(int per_thousand) {
    static uint64_t state = 0x9e3779b97f4a7c15u;
    if (!per_thousand) return false;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (int)((state >> 32) % 1000) < per_thousand;
}

static int find_port(const char *name) {
    for (int i = 0; i < port_count; i++) {
        if (strcmp(ports[i].name, name) == 0) return i;
    }
    return -1;
}

static bool matches(const struct route *route, int family, const uint8_t *address) {
    if (route->family != family) return false;
    int bytes = route->length / 8, bits = route->length % 8;
    if (memcmp(route->prefix, address, (size_t)bytes) != 0) return false;
    return bits == 0 || (route->prefix[bytes] ^ address[bytes]) >> (8 - bits) == 0;
}

static void forward(int from, const uint8_t *data, int length) {
    int version = length > 0 ? data[0] >> 4 : 0;
    if (!(version == 4 && length >= 20) && !(version == 6 && length >= 40)) return;
    const uint8_t *destination = version == 4 ? data + 16 : data + 24;
    for (int i = 0; i < route_count; i++) {
        if (!matches(&routes[i], version, destination)) continue;
        int to = routes[i].port;
        bool too_large = (ports[to].largest && length > ports[to].largest) ||
                         (ports[from].largest && length > ports[from].largest);
        if (to == from || ports[from].blocked[to] || too_large || tail - head == QUEUE) return;
        if (drawn(ports[from].lost) || drawn(ports[to].lost)) return;
        struct packet *packet = &queue[tail++ % QUEUE];
        packet->due = now_ns() + delay_ns;
        packet->port = to;
        packet->length = length;
        memcpy(packet->data, data, (size_t)length);
        return;
    }
}

static void deliver_due(void) {
    uint64_t now = now_ns();
    while (head != tail && queue[head % QUEUE].due <= now) {
        struct packet *packet = &queue[head++ % QUEUE];
        // A full device drops, as a full wire does.
        if (write(ports[packet->port].descriptor, packet->data, (size_t)packet->length) < 0 && errno == EBADF) exit(1);
    }
    struct itimerspec timer = {0};
    if (head != tail) {
        uint64_t due = queue[head % QUEUE].due;
        timer.it_value = (struct timespec){(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

static const char *attach(const char *name, const char *namespace, const char *device) {
    if (port_count == MAX_PORTS) return "too many devices";
    char path[128];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) return "cannot enter the namespace";
    close(ns);
    int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%.15s", device);
    bool failed = descriptor < 0 || ioctl(descriptor, TUNSETIFF, &request) != 0;
    if (setns(home_ns, CLONE_NEWNET) != 0) exit(1);
    if (failed) return "cannot make the TUN device";
    struct epoll_event event = {.events = EPOLLIN, .data.fd = port_count};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, descriptor, &event);
    snprintf(ports[port_count].name, sizeof ports[port_count].name, "%.31s", name);
    ports[port_count++].descriptor = descriptor;
    return NULL;
}

static const char *add_route(char *prefix, const char *name) {
    char *slash = strchr(prefix, '/');
    int port = find_port(name);
    if (!slash || port < 0 || route_count == MAX_ROUTES) return "bad route";
    *slash = 0;
    struct route *route = &routes[route_count];
    route->family = strchr(prefix, ':') ? 6 : 4;
    route->length = atoi(slash + 1);
    route->port = port;
    if (inet_pton(route->family == 6 ? AF_INET6 : AF_INET, prefix, route->prefix) != 1) return "bad address";
    if (route->length < 0 || route->length > (route->family == 6 ? 128 : 32)) return "bad length";
    route_count++;
    return NULL;
}

static const char *set_blocked(const char *left, const char *right, bool blocked) {
    int a = find_port(left), b = find_port(right);
    if (a < 0 || b < 0) return "no such name";
    ports[a].blocked[b] = ports[b].blocked[a] = blocked;
    return NULL;
}

static const char *run(char *line) {
    char *words[5] = {0};
    int count = 0;
    for (char *word = strtok(line, " \n"); word && count < 5; word = strtok(NULL, " \n")) words[count++] = word;
    if (count == 4 && strcmp(words[0], "attach") == 0) return attach(words[1], words[2], words[3]);
    if (count == 3 && strcmp(words[0], "route") == 0) return add_route(words[1], words[2]);
    if (count == 3 && strcmp(words[0], "block") == 0) return set_blocked(words[1], words[2], true);
    if (count == 3 && strcmp(words[0], "unblock") == 0) return set_blocked(words[1], words[2], false);
    if (count == 2 && strcmp(words[0], "delay") == 0) {
        delay_ns = (uint64_t)(atof(words[1]) * 1e6);
        return NULL;
    }
    if (count == 3 && strcmp(words[0], "size") == 0 && find_port(words[1]) >= 0) {
        ports[find_port(words[1])].largest = atoi(words[2]);
        return NULL;
    }
    if (count == 3 && strcmp(words[0], "lose") == 0 && find_port(words[1]) >= 0) {
        ports[find_port(words[1])].lost = atoi(words[2]);
        return NULL;
    }
    return "unknown command";
}

static void read_commands(void) {
    static char buffer[4096];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, buffer + used, sizeof buffer - 1 - used);
    if (got <= 0) exit(0);
    used += (size_t)got;
    buffer[used] = 0;
    char *start = buffer;
    for (char *end; (end = strchr(start, '\n')); start = end + 1) {
        *end = 0;
        const char *error = run(start);
        if (error) printf("error: %s\n", error);
        else printf("ok\n");
        fflush(stdout);
    }
    used -= (size_t)(start - buffer);
    memmove(buffer, start, used);
    if (used == sizeof buffer - 1) exit(1);
}

int main(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    home_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    queue = calloc(QUEUE, sizeof *queue);
    if (epoll_fd < 0 || timer_fd < 0 || home_ns < 0 || !queue) return 1;
    struct epoll_event commands = {.events = EPOLLIN, .data.fd = -1}, timer = {.events = EPOLLIN, .data.fd = -2};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &commands);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &timer);
    for (;;) {
        struct epoll_event events[16];
        int count = epoll_wait(epoll_fd, events, 16, -1);
        for (int i = 0; i < count; i++) {
            int port = events[i].data.fd;
            if (port == -1) read_commands();
            uint64_t expirations;
            if (port == -2 && read(timer_fd, &expirations, sizeof expirations) < 0) continue;
            for (int reads = 0; port >= 0 && reads < READS_PER_TURN; reads++) {
                uint8_t data[MAX_PACKET];
                ssize_t length = read(ports[port].descriptor, data, sizeof data);
                if (length <= 0) break;
                forward(port, data, (int)length);
            }
        }
        deliver_due();
    }
}
