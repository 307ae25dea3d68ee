import DeP2P
import Dispatch
import Glibc
import Synchronization

/// Tells a service manager how the process is doing, as sd_notify(3) describes it: datagrams on the Unix socket that
/// `$NOTIFY_SOCKET` names, a path or, with a leading `@`, an abstract name. Says nothing when the variable is unset.
///
/// The caller is the network thread, and a manager may be slow: what its socket has no room for is sent in order by
/// another thread, which waits for it.
struct ServiceNotifier: Sendable {
    enum State: Sendable, Equatable {
        /// The sockets are bound.
        case ready
        /// One line for `systemctl status`.
        case status(String)
        case stopping
        /// With the monotonic time, which systemd 253 and later need to tell it from an older one.
        case reloading(monotonicMicroseconds: Int64)
        case watchdog

        var message: String {
            switch self {
            case .ready: "READY=1"
            case .status(let text): "STATUS=" + TerminalText.escape(text)
            case .stopping: "STOPPING=1"
            case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(time)"
            case .watchdog: "WATCHDOG=1"
            }
        }
    }

    /// Messages that may wait for room at once.
    static let queueLimit = 64

    private static let queue = DispatchQueue(label: "dep2p.notify")
    private static let waiting = Mutex(0)
    /// Messages that wait for room.
    static var waitingCount: Int { waiting.withLock { $0 } }

    private let socketName: [UInt8]?
    /// How often the manager wants to hear from a process that lives.
    private let watchdogInterval: Duration?

    init(_ environment: Environment) {
        socketName = environment["NOTIFY_SOCKET"]
        watchdogInterval = Self.watchdogInterval(environment)
    }

    /// Never waits.
    ///
    /// - Returns: whether a manager is told; it is no error when there is none or it does not listen.
    @discardableResult
    func send(_ states: State...) -> Bool {
        guard let socketName else { return false }
        let message = Array(states.map(\.message).joined(separator: "\n").utf8)
        // Nothing overtakes what waits.
        if Self.waitingCount == 0 {
            switch Self.send(message, to: socketName, flags: Int32(MSG_DONTWAIT)) {
            case 0: return true
            case EAGAIN: break
            default: return false
            }
        }
        // The next sign of life comes by itself.
        if states == [.watchdog] { return false }
        let isTaken = Self.waiting.withLock { waiting in
            guard waiting < Self.queueLimit else { return false }
            waiting += 1
            return true
        }
        guard isTaken else { return false }
        Self.queue.async {
            _ = Self.send(message, to: socketName, flags: 0)
            Self.waiting.withLock { $0 -= 1 }
        }
        return true
    }

    /// Tells the manager, as often as it wants to hear so, that the network thread is at work; until the task is
    /// cancelled. `nil` when the manager wants nothing.
    @NetworkActor
    func feedWatchdog(on clock: any NetworkClock) -> Task<Void, Never>? {
        guard let watchdogInterval else { return nil }
        return networkTask {
            // Cancelled: the command ends.
            while (try? await clock.sleep(for: watchdogInterval)) != nil { send(.watchdog) }
        }
    }

    /// Time between two `.watchdog` messages that keep the manager content: half of `$WATCHDOG_USEC`, when that is meant
    /// for this process (sd_watchdog_enabled(3)).
    static func watchdogInterval(_ environment: Environment) -> Duration? {
        let text = { (name: String) in environment[name].flatMap { String(validating: $0, as: UTF8.self) } }
        guard let interval = text("WATCHDOG_USEC").flatMap({ Int64($0) }), interval >= 2 else { return nil }
        if let process = text("WATCHDOG_PID"), process != "\(getpid())" { return nil }
        return .microseconds(interval / 2)
    }

    /// - Returns: 0, or the `errno` of what went wrong.
    private static func send(_ message: [UInt8], to name: [UInt8], flags: Int32) -> Int32 {
        guard var address = address(name) else { return EINVAL }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL) | flags, $0, length)
            }
        }
        return sent == message.count ? 0 : errno
    }

    private static func address(_ name: [UInt8]) -> sockaddr_un? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isAbstract = name.first == UInt8(ascii: "@")
        guard isAbstract || name.first == UInt8(ascii: "/") else { return nil }
        // An abstract name starts with a zero byte and has no end but the address length; a path needs its zero byte.
        guard name.count > 1, name.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: name)
            if isAbstract { path[0] = 0 }
        }
        return address
    }
}
