// Door of Engine.
