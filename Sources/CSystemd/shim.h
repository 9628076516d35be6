/* The parts of libsystemd that Holdfast uses: the event loop, and the notify protocol towards its own parent. */
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
