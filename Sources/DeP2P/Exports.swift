// What the façade speaks in stands on the floors below. Of them an application sees what is `public`, the value types that
// `Node` takes and gives; the rest is `package`, which the command sees too: it is of the same package. So both import
// DeP2P and nothing else of the house.

@_exported public import DeP2PApp
@_exported public import DeP2PHTTP
@_exported public import DeP2PIdentity
@_exported public import DeP2PQUIC
@_exported public import DeP2PReach
@_exported public import DeP2PReactor
@_exported public import DeP2PRealm
@_exported public import DeP2PSessions
