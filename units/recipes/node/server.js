// Listens on the descriptors that it is given, and leaves without losing a request.
const http = require('http');

let leaving = false;
const servers = ['HTTP', 'READY'].map((name) => process.env[`LISTEN_FD_${name}`]).filter(Boolean).map((fd) => {
  const server = http.createServer((request, response) => {
    // To a leaving process this is the last request of its connection, and the client is told so.
    if (leaving) response.setHeader('Connection', 'close');
    response.end('node\n');
  });
  server.keepAliveTimeout = 2000;
  server.listen({ fd: Number(fd) });
  return server;
});

process.on('SIGTERM', () => {
  leaving = true;
  for (const server of servers) {
    // close() would also close idle connections at once, and with them a request that is on its way (Node 19 and later).
    // With closing delayed each of them gets its last answer, or ends by keepAliveTimeout.
    server.closeIdleConnections = () => {};
    server.close();
  }
});
