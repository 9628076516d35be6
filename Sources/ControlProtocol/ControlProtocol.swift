// Door of ControlProtocol.
