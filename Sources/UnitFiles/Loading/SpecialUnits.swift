/// Units of systemd's that stand for the state of the host (systemd.special(7)). Units name them out of habit; here they are
/// always reached, and naming them is no mistake.
public enum SpecialUnits {
    /// Reached on every host that runs services, before Holdfast or together with it.
    static let reachedTargets = [
        "sysinit.target", "local-fs.target", "remote-fs.target", "sockets.target", "timers.target", "paths.target",
        "basic.target", "network-pre.target", "network.target", "network-online.target", "nss-lookup.target",
        "nss-user-lookup.target", "rpcbind.target", "time-set.target", "time-sync.target", "getty.target",
        "multi-user.target", "graphical.target", "default.target",
    ]

    /// Never reached by starting anything here.
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

    /// Whether the unit, if it has no file here, is one of the host's that are taken for active: those of systemd.special(7),
    /// and what systemd itself runs.
    public static func isAssumed(_ name: UnitName) -> Bool {
        names.contains(name.description) || name.description.hasPrefix("systemd-")
            || name.description.hasPrefix("user@")
            || name.description.hasPrefix("getty@") || name.description.hasPrefix("serial-getty@")
    }

    /// Whether it stands for the end of the host: never active while anything runs here.
    public static func isNeverReached(_ name: UnitName) -> Bool { neverReached.contains(name.description) }
}
