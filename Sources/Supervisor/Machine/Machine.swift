/// The machine as the supervisor sees it: every system call, every reading of a clock, a file or /proc, and every
/// handle that the supervisor keeps passes through one of these ports (DESIGN section 5, "The seam").
///
/// There are two implementations: `LinuxMachine`, and a simulated one in SupervisorTests, on which the whole supervisor
/// runs, crashes included. A port decides nothing.
protocol Machine: AnyObject {
    /// Time, timers, signals to this process and work for a later round.
    var loop: any Loop { get }
}
