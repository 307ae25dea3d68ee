import Glibc

/// Tells a service manager how the process is doing, as sd_notify(3) describes it: datagrams on the Unix socket that
/// `$NOTIFY_SOCKET` names, a path or, with a leading `@`, an abstract name. Says nothing when the variable is unset.
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

    private let socketName: [UInt8]?

    init(_ environment: Environment) { socketName = environment["NOTIFY_SOCKET"] }

    /// - Returns: whether a manager was told; it is no error when there is none or it does not listen.
    @discardableResult
    func send(_ states: State...) -> Bool {
        guard let socketName, var address = Self.address(socketName) else { return false }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let message = Array(states.map(\.message).joined(separator: "\n").utf8)
        let length = socklen_t(MemoryLayout<sa_family_t>.size + socketName.count)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        return sent == message.count
    }

    /// Microseconds between two `.watchdog` messages that keep the manager content: half of `$WATCHDOG_USEC`.
    static func watchdogInterval(_ environment: Environment) -> Duration? {
        guard let text = environment["WATCHDOG_USEC"].flatMap({ String(validating: $0, as: UTF8.self) }),
            let interval = Int64(text), interval >= 2
        else { return nil }
        return .microseconds(interval / 2)
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
