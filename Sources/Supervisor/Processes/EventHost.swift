import Engine
import Logging

/// What each desk of this room asks of the supervisor.
protocol EventHost: AnyObject {
    /// Hands an event to the engine.
    func handle(_ event: Event)
    /// Logs a line about a unit, within the bounds for lines that others can cause.
    func log(_ level: Logger.Level, about unit: String, _ text: String)
}
