//! Floods of bytes.

use std::io::Write;

use super::{ALONE, report, short_or_long};
use crate::support::program::{Program, read_reply};

#[test]
fn bytes_without_a_line_end_cost_no_memory_however_many_they_are() {
    let _alone = ALONE.blocking_lock();
    let server = Program::start(&[]);
    let chunk = vec![b'x'; 64 * 1024];
    // A first connection comes before the measurement, so that one-time costs are not measured.
    let before = [(); 2].map(|()| {
        pour(&server, &chunk, chunk.len());
        server.memory_kib("VmHWM")
    })[1];
    let (mut left, mut connections) = (short_or_long(64_usize << 20, 1 << 30), 0);
    while left > 0 {
        left -= pour(&server, &chunk, left);
        connections += 1;
    }
    let grown = server.memory_kib("VmHWM").saturating_sub(before);
    report(&format!("{grown} KiB more after {connections} connections"));
    assert!(grown <= 1024, "{grown} KiB");
    server.stop();
}

/// Sends up to `most` bytes on one connection, as long as the server takes them; returns how many it took.
fn pour(server: &Program, chunk: &[u8], most: usize) -> usize {
    let mut stream = server.connect();
    let mut poured = 0;
    while poured < most && stream.write_all(&chunk[..chunk.len().min(most - poured)]).is_ok() {
        if poured == 0 {
            // The error comes at once, not at the end of the line.
            assert_eq!(read_reply(&mut stream), r#"{"status": "ERROR", "message": "line too long"}"#);
        }
        poured += chunk.len().min(most - poured);
    }
    assert!(poured > 0, "nothing was taken");
    poured
}
