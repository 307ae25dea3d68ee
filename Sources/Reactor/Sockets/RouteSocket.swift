internal import CDeP2PReactor
internal import Glibc

/// Tells when this machine's links, addresses or routes change: a double in tests, rtnetlink(7) otherwise.
@NetworkActor
package protocol NetworkChangeSource: AnyObject, Sendable {
    /// Called for every change, of which many may belong together.
    var onChange: (@NetworkActor () -> Void)? { get set }
    func close()
}

/// The kernel's own word of changed links, addresses and routes, over a netlink socket.
@NetworkActor
package final class RouteSocket: NetworkChangeSource {
    package var onChange: (@NetworkActor () -> Void)?
    private var descriptor: Int32
    private var watch: DescriptorWatch?

    /// `nil` where the kernel tells nobody, as in some containers.
    package init?() {
        descriptor = dep2p_routes_open()
        guard descriptor >= 0 else { return nil }
        watch = DescriptorWatch(descriptor, for: .readable) { [weak self] _ in
            guard let self, descriptor >= 0, dep2p_routes_changed(descriptor) != 0 else { return }
            onChange?()
        }
    }

    package func close() {
        guard descriptor >= 0 else { return }
        watch?.cancel()
        Glibc.close(descriptor)
        descriptor = -1
        onChange = nil
    }
}
