// Names for types that the layers below name alike: the result of an operation to decide with (Engine) and the one to
// show (ControlProtocol), a signal in a unit file and one to send. In this module, which uses both, each gets a name of
// its own. Scoped imports, because a module that has a type of its own name cannot qualify.

import ControlProtocol

import struct Engine.NotifyMessage
import struct Engine.OperationResult

typealias EngineResult = OperationResult
typealias EngineNotify = NotifyMessage
typealias ShownResult = ControlProtocol.OperationResult
