internal import Glibc

/// The interfaces of this machine by name.
package enum NetworkInterface {
    /// The index of the interface that an IPv6 zone names, by name or by number; `nil` when there is none.
    package static func index(of zone: String) -> UInt32? {
        let named = if_nametoindex(zone)
        if named > 0 { return named }
        guard let number = UInt32(zone), number > 0 else { return nil }
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        return if_indextoname(number, &name) == nil ? nil : number
    }
}
