// Door of Supervisor.
