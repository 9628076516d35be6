/* Which parts of libsystemd Holdfast uses: the event loop and the notify protocol of its own parent. */
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
