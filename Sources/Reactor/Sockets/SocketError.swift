internal import Glibc

/// An address that could not be bound.
package struct BindError: Error, Equatable, Sendable, CustomStringConvertible {
    package let address: SocketAddress
    package let errno: Int32

    package var description: String { "cannot listen on \(address): \(String(cString: strerror(errno)))" }
}

/// A stream socket that could not be had, or broke.
package struct SocketError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        case refused
        case timeout
        case unreachable
        case noResources
        /// The path of a Unix socket cannot be listened at.
        case cannotListen
        /// The other side reset the connection, or its network did.
        case broken
        /// This side closed it.
        case closed
    }

    package let code: Code
    package let description: String

    package init(_ code: Code, _ description: String) { (self.code, self.description) = (code, description) }

    /// Why a TCP connection did not come about.
    init(connectingTo remote: SocketAddress, errno: Int32) {
        switch errno {
        case ECONNREFUSED: self.init(.refused, "nothing listens on TCP at \(remote)")
        case ETIMEDOUT: self.init(.timeout, "no answer over TCP from \(remote)")
        default: self.init(.unreachable, "no TCP connection to \(remote): \(String(cString: strerror(errno)))")
        }
    }

    /// Why a Unix socket could not be connected to.
    init(connectingTo path: String, errno: Int32) {
        switch errno {
        case ECONNREFUSED, ENOENT: self.init(.refused, "nothing listens at \(path)")
        default: self.init(.unreachable, "cannot connect to \(path): \(String(cString: strerror(errno)))")
        }
    }
}
