internal import DeP2PIdentity
package import DeP2PReactor

package func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, _ port: UInt16) -> SocketAddress {
    SocketAddress(IPAddress(v4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)), port: port)
}

package func v6(_ high: UInt64, _ low: UInt64, _ port: UInt16) -> SocketAddress {
    SocketAddress(IPAddress(v6High: high, low: low), port: port)
}
