/// systemd's own units that stand for states of the host (systemd.special(7)). Unit files name them by convention; here
/// they always count as reached, and naming them is no error.
public enum SpecialUnits {
    /// Targets reached on every host that runs services, before Holdfast or together with it.
    static let reachedTargets = [
        "sysinit.target", "local-fs.target", "remote-fs.target", "sockets.target", "timers.target", "paths.target",
        "basic.target", "network-pre.target", "network.target", "network-online.target", "nss-lookup.target",
        "nss-user-lookup.target", "rpcbind.target", "time-set.target", "time-sync.target", "getty.target",
        "multi-user.target", "graphical.target", "default.target",
    ]

    /// Targets that no start of a unit ever reaches.
    private static let neverReached = [
        "emergency.target", "exit.target", "final.target", "halt.target", "hibernate.target", "hybrid-sleep.target",
        "initrd.target", "kexec.target", "poweroff.target", "reboot.target", "rescue.target", "shutdown.target",
        "sleep.target", "soft-reboot.target", "suspend.target", "suspend-then-hibernate.target",
        "system-update.target", "umount.target",
    ]

    private static let others = [
        "cryptsetup.target", "cryptsetup-pre.target", "first-boot-complete.target", "getty-pre.target",
        "integritysetup.target", "local-fs-pre.target", "machines.target", "printer.target", "remote-cryptsetup.target",
        "remote-fs-pre.target", "remote-veritysetup.target", "slices.target", "smartcard.target", "sound.target",
        "swap.target", "usb-gadget.target", "veritysetup.target", "veritysetup-pre.target",
        "dbus.service", "dbus.socket", "syslog.service", "syslog.socket", "display-manager.service",
    ]

    public static let names = Set(reachedTargets + neverReached + others)

    /// Whether a unit without a file here is assumed to be active on the host: a unit of systemd.special(7), or one of
    /// systemd's own services.
    public static func isAssumed(_ name: UnitName) -> Bool {
        names.contains(name.description) || name.description.hasPrefix("systemd-")
            || name.description.hasPrefix("user@")
            || name.description.hasPrefix("getty@") || name.description.hasPrefix("serial-getty@")
    }

    /// Whether the unit stands for the shutdown of the host: it is never active while services run here.
    public static func isNeverReached(_ name: UnitName) -> Bool { neverReached.contains(name.description) }
}
