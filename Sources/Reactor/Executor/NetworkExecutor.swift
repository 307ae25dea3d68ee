internal import CDeP2PReactor
import Glibc
import Synchronization

/// The network thread: runs the actor's jobs, expires timers, waits on epoll, and steps simulated networks when idle.
///
/// One turn: jobs until none is ready, each with the actions of ``afterJob`` that it leaves → the actions of ``beforeWaiting`` → due timers → epoll (without waiting when a
/// simulated network still has something to do) → that network's next step when nothing real was ready.
package final class NetworkExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    // Proof for @unchecked: `inbox` is guarded by its mutex and `sleeping` by being inside it; every other property
    // is touched only on the executor's own thread (checkIsolated in the accessors' actor).

    /// A function by itself would be stored in a queue of anything as a generic one: an object more each.
    private struct TimedAction {
        let run: @NetworkActor () -> Void
    }

    private struct Inbox {
        var jobs: [UnownedJob] = []
        var sleeping = false
    }

    private let inbox = Mutex(Inbox())
    private let wakeDescriptor: Int32
    private let epoll: Int32
    // Which thread it is: written by the thread itself, before its first turn, and asked for in each call from outside the type
    // system. Another thread that still reads zero is not it either.
    private let thread = Atomic<pthread_t>(0)

    // Owned by the thread.
    var beforeWaiting: [@NetworkActor () -> Void] = []
    var afterJob: [@NetworkActor () -> Void] = []
    var externalWork = 0
    private var timers = TimerQueue<TimedAction>()
    private var handlers: [Int32: @NetworkActor (PollEvents) -> Void] = [:]
    private var simulations: [ObjectIdentifier: any Simulation] = [:]

    init() {
        wakeDescriptor = dep2p_wake_create()
        epoll = dep2p_epoll_create()
        precondition(wakeDescriptor >= 0 && epoll >= 0, "no descriptor left for the network thread")
        control(EPOLL_CTL_ADD, wakeDescriptor, EPOLLIN.rawValue)
        var created = pthread_t()
        let started = pthread_create(
            &created, nil,
            { context in
                guard let context else { return nil }
                dep2p_name_thread("dep2p-network")
                Unmanaged<NetworkExecutor>.fromOpaque(context).takeUnretainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(started == 0, "cannot start the network thread")
    }

    /// Time goes on while the machine sleeps, for its peers' does: a connection that they have given up meanwhile has ended
    /// here too, and what was reserved for an hour is over after it. epoll does not wait less for that: `ClockWatch` wakes it.
    static func monotonicNow() -> NetworkInstant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return NetworkInstant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    // MARK: SerialExecutor

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let wake = inbox.withLock { inbox in
            inbox.jobs.append(job)
            defer { inbox.sleeping = false }
            return inbox.sleeping
        }
        if wake { dep2p_wake_signal(wakeDescriptor) }
    }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    package func checkIsolated() {
        precondition(thread.load(ordering: .relaxed) == pthread_self(), "not on the network thread")
    }

    package func isIsolatingCurrentContext() -> Bool? {
        thread.load(ordering: .relaxed) == pthread_self()
    }

    // MARK: The loop

    private func run() {
        thread.store(pthread_self(), ordering: .relaxed)
        var running: [UnownedJob] = []
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            runJobs(&running)
            // Of those that no job left but the network, on the way to the next turn.
            if !afterJob.isEmpty { run(take(&afterJob)) }
            if !beforeWaiting.isEmpty { run(take(&beforeWaiting)) }
            let idleStep = externalWork == 0 && !waitingSimulations().isEmpty
            let mustPoll = idleStep || !beforeWaiting.isEmpty
            let timeout = mustPoll ? 0 : timeUntilNextTimer()
            guard timeout == 0 || prepareToSleep() else { continue }
            let count = dep2p_epoll_wait(epoll, &events, Int32(events.count), timeout)
            inbox.withLock { $0.sleeping = false }
            for event in events.prefix(Int(max(count, 0))) { dispatch(event) }
            runDueTimers()
            if idleStep, count <= 0, beforeWaiting.isEmpty, !hasJobs() { advanceSimulations() }
        }
    }

    /// Runs jobs until none is ready: what one job makes ready runs before the thread looks at the network again.
    private func runJobs(_ running: inout [UnownedJob]) {
        let (serial, preferred) = (asUnownedSerialExecutor(), asUnownedTaskExecutor())
        // Two arrays by turns: emptying one that somebody still reads would allocate another.
        while true {
            inbox.withLock { swap(&$0.jobs, &running) }
            if running.isEmpty { return }
            for job in running {
                job.runSynchronously(isolatedTo: serial, taskExecutor: preferred)
                if !afterJob.isEmpty { run(take(&afterJob)) }
            }
            running.removeAll(keepingCapacity: true)
        }
    }

    private func run(_ actions: [@NetworkActor () -> Void]) {
        NetworkActor.assumeIsolated { for action in actions { action() } }
    }

    /// The actions of a list; what they add to it waits, in ``beforeWaiting`` for the next turn, after a look at the network.
    private func take(_ list: inout [@NetworkActor () -> Void]) -> [@NetworkActor () -> Void] {
        defer { list = [] }
        return list
    }

    private func hasJobs() -> Bool { inbox.withLock { !$0.jobs.isEmpty } }

    /// False when a job arrived meanwhile.
    private func prepareToSleep() -> Bool {
        inbox.withLock { inbox in
            inbox.sleeping = inbox.jobs.isEmpty
            return inbox.sleeping
        }
    }

    /// Nanoseconds to wait; negative for ever.
    private func timeUntilNextTimer() -> Int64 {
        guard let deadline = timers.earliest() else { return -1 }
        let now = Self.monotonicNow()
        return deadline <= now ? 0 : Int64(clamping: deadline.nanoseconds - now.nanoseconds)
    }

    private func dispatch(_ event: epoll_event) {
        let descriptor = event.data.fd
        if descriptor == wakeDescriptor {
            return dep2p_wake_drain(wakeDescriptor)
        }
        guard let handler = handlers[descriptor] else { return }
        NetworkActor.assumeIsolated { handler(PollEvents(rawValue: event.events)) }
    }

    private func runDueTimers() {
        let now = Self.monotonicNow()
        while let action = timers.popDue(at: now) {
            NetworkActor.assumeIsolated { action.run() }
        }
    }

    private func advanceSimulations() {
        for simulation in waitingSimulations() {
            NetworkActor.assumeIsolated { simulation.advance() }
        }
    }

    private func waitingSimulations() -> [any Simulation] {
        simulations.values.filter { simulation in NetworkActor.assumeIsolated { simulation.wantsToAdvance } }
    }

    // MARK: Registration, on the thread

    func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
        timers.insert(TimedAction(run: action), at: deadline)
    }

    func cancel(_ token: TimerToken) { timers.remove(token) }

    func add(descriptor: Int32, events: PollEvents, handler: @escaping @NetworkActor (PollEvents) -> Void) {
        handlers[descriptor] = handler
        control(EPOLL_CTL_ADD, descriptor, events.rawValue)
    }

    func change(descriptor: Int32, events: PollEvents) { control(EPOLL_CTL_MOD, descriptor, events.rawValue) }

    func remove(descriptor: Int32) {
        handlers[descriptor] = nil
        control(EPOLL_CTL_DEL, descriptor, 0)
    }

    func add(_ simulation: any Simulation) { simulations[ObjectIdentifier(simulation)] = simulation }
    func remove(_ simulation: any Simulation) { simulations[ObjectIdentifier(simulation)] = nil }

    /// Whether a simulation runs that wants no other threads.
    var worksInline: Bool {
        !simulations.isEmpty
            && NetworkActor.assumeIsolated { simulations.values.contains(where: { $0.worksInline }) }
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ events: UInt32) {
        var event = epoll_event(events: events, data: epoll_data_t(fd: descriptor))
        epoll_ctl(epoll, operation, descriptor, &event)
    }
}

/// The machine's monotonic clock on the network thread.
@NetworkActor
package final class SystemNetworkClock: NetworkClock {
    package static let shared = SystemNetworkClock()

    package var now: NetworkInstant { NetworkExecutor.monotonicNow() }

    package func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
        NetworkActor.executor.schedule(at: deadline, action)
    }

    package func cancel(_ token: TimerToken) { NetworkActor.executor.cancel(token) }
}
