import Engine
import Logging

/// Interface of the supervisor to each desk of this room.
protocol EventHost: AnyObject {
    /// Hands an event to the engine.
    func handle(_ event: Event)
    /// Logs a line about a unit, within the bounds for lines that others can cause.
    func log(_ level: Logger.Level, about unit: String, _ text: String)
}
