// As programs are that were written for a container: one fixed port.
require('http').createServer((request, response) => response.end('fixed\n')).listen(3000, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
