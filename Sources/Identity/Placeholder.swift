extension IPAddress: CustomStringConvertible { public var description: String { "" } }
