/// A unit for systemd(1) that runs a command as a service of its own, with no more rights than it needs; for the manual
/// pages. A test runs the program under these rules.
enum ServiceUnit {
    /// - Parameters:
    ///   - description: what runs.
    ///   - arguments: the command's, after the program's name.
    ///   - more: settings of the service beside the common ones.
    static func lines(_ description: String, _ arguments: String, also more: [String] = []) -> [String] {
        [
            "[Unit]", "Description=\(description)", "After=network-online.target", "Wants=network-online.target", "",
            "[Service]", "Type=notify", "ExecStart=/usr/bin/dep2p \(arguments)", "ExecReload=/bin/kill -HUP $MAINPID",
            "WatchdogSec=30", "Restart=on-failure",
            // What no restart mends: a wrong line, key or configuration.
            "RestartPreventExitStatus=64 65 66 77 78", "DynamicUser=yes", "StateDirectory=dep2p",
            "StateDirectoryMode=0700", "Environment=XDG_DATA_HOME=%S",
        ] + more + confinement + ["", "[Install]", "WantedBy=multi-user.target"]
    }

    /// Not `ProcSubset=pid`: by the kernel's boot id, in /proc/sys, processes of one machine know each other.
    private static let confinement = [
        "UMask=0077", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes",
        "ProtectProc=invisible", "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHostname=yes",
        "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "PrivateDevices=yes",
        "PrivateMounts=yes", "PrivateTmp=yes", "PrivateUsers=yes", "RemoveIPC=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX", "RestrictNamespaces=yes",
        "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes",
        "SystemCallArchitectures=native", "SystemCallErrorNumber=EPERM", "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ]
}
