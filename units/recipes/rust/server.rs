//! An HTTP server on inherited sockets, a thread for each connection. At SIGTERM it accepts no more, answers one more request
//! on every open connection with `Connection: close` (or waits until it is idle for two seconds), and leaves.
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

static LEAVING: AtomicBool = AtomicBool::new(false);
static OPEN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn told(_: i32) {
    LEAVING.store(true, SeqCst);
}

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn poll(entries: *mut PollFd, count: u64, milliseconds: i32) -> i32;
}

fn answer(stream: &mut impl Write) -> std::io::Result<bool> {
    let last = LEAVING.load(SeqCst);
    let connection = if last { "Connection: close\r\n" } else { "" };
    // In one piece: several small ones would wait for each other's acknowledgement.
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{connection}\r\nrust\n").as_bytes())?;
    Ok(!last)
}

fn serve(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let (mut buffer, mut text, mut since) = ([0; 4096], Vec::new(), Instant::now());
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if since.elapsed() > Duration::from_secs(if LEAVING.load(SeqCst) { 2 } else { 30 }) {
                    break;
                }
                continue;
            }
            Err(_) => break,
        }
        if text.windows(4).any(|end| end == b"\r\n\r\n") {
            text.clear();
            since = Instant::now();
            if !matches!(answer(&mut stream), Ok(true)) {
                break;
            }
        }
    }
    OPEN.fetch_sub(1, SeqCst);
}

fn descriptor(name: &str) -> i32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).expect(name)
}

fn main() {
    unsafe { signal(15, told) };
    // The sockets are the generation's alone to name: nobody else in this process has these numbers.
    let public = unsafe { TcpListener::from_raw_fd(descriptor("LISTEN_FD_HTTP")) };
    let ready = unsafe { UnixListener::from_raw_fd(descriptor("LISTEN_FD_READY")) };
    while !LEAVING.load(SeqCst) {
        let mut entries = [public.as_raw_fd(), ready.as_raw_fd()].map(|fd| PollFd { fd, events: 1, revents: 0 });
        unsafe { poll(entries.as_mut_ptr(), 2, 100) };
        // Both do not block: another process may have taken the connection that woke us.
        if let Ok((stream, _)) = public.accept() {
            OPEN.fetch_add(1, SeqCst);
            std::thread::spawn(|| serve(stream));
        }
        if let Ok((mut stream, _)) = ready.accept() {
            let _ = stream.set_nonblocking(false);
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    }
    drop(public);
    while OPEN.load(SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
}
