// Door of Linux.
