/// An interface of this machine that speaks to its neighbours: its index, name and addresses.
package struct NetworkLink: Hashable, Sendable {
    package let index: UInt32
    package let name: String
    package let isLoopback: Bool
    /// Of both families, link-local ones too; without ports.
    package let addresses: [InterfaceAddress]

    package init(index: UInt32, name: String, isLoopback: Bool, addresses: [InterfaceAddress]) {
        (self.index, self.name, self.isLoopback, self.addresses) = (index, name, isLoopback, addresses)
    }
}
