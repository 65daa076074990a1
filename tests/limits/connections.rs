//! How many connections there may be, in all and from an address.

use chat_service::{chat::Limit, server::Limits};
use tokio::net::{TcpSocket, TcpStream};

use super::{counted, error};
use crate::support::{Peer, SENT, Setup, program::Program};

#[tokio::test]
async fn so_many_connections_and_no_more() {
    let limits = Limits { per_address: 3, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(server.log_in("messi").await);
    }
    let mut refused = server.connect().await;
    // The error arrives although requests were sent meanwhile.
    refused.send("ping\n".repeat(100)).await;
    assert_eq!(refused.reply().await, error("too many connections"));
    assert_eq!(refused.try_reply().await, None);
    assert_eq!(counted(&server.server), [(Limit::ConnectionsPerAddress, 1)]);
    drop(open.pop());
    // A closed connection makes room as soon as the server has noticed its end.
    loop {
        let mut again = server.connect().await;
        again.send("ping\n").await;
        match again.try_reply().await {
            Some(reply) if reply.contains("pong") => break,
            _ => tokio::task::yield_now().await,
        }
    }
    assert_eq!(open[0].ask("send messi a").await, SENT);
    drop(open);
    server.stop().await;
}

#[tokio::test]
async fn so_many_connections_in_all() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let open = [server.log_in("messi").await, server.log_in("messi").await];
    let mut refused = server.connect().await;
    assert_eq!(refused.reply().await, error("too many connections"));
    assert_eq!(counted(&server.server), [(Limit::Connections, 1)]);
    drop((open, refused));
    server.stop().await;
}

#[tokio::test]
async fn the_last_connections_are_kept_for_addresses_from_which_somebody_has_logged_in() {
    let limits = Limits { connections: 10, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let connect = async |from: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{from}:0").parse().expect("an address")).expect("free");
        Peer::new(socket.connect(server.address).await.expect("a connection"))
    };
    let mut known = connect("127.0.0.1").await;
    known.log_in("messi").await;
    let pong = r#"{"status": "OK", "message": "pong"}"#;
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stranger = connect("127.0.0.2").await;
        assert_eq!(stranger.ask("ping").await, pong);
        strangers.push(stranger);
    }
    let refused = error("too many connections");
    assert_eq!(connect("127.0.0.2").await.reply().await, refused);
    assert_eq!(connect("127.0.0.1").await.ask("ping").await, pong);
    // Who logs in now is known from then on.
    strangers[0].log_in("henderson").await;
    assert_eq!(connect("127.0.0.2").await.ask("ping").await, pong);
    drop((known, strangers));
    server.stop().await;
}

/// The system uses keepalive to detect that a silent client is gone: `/proc/net/tcp` shows the timers.
#[cfg(target_os = "linux")]
#[test]
fn the_system_looks_whether_a_silent_peer_is_still_there() {
    const KEEPALIVE: &str = "02";
    let server = Program::start(&[]);
    let mut watcher = server.connect();
    std::io::Write::write_all(&mut watcher, b"hello 2\nauth messi surabaya\nwatch\n").expect("taken");
    for _ in 0..3 {
        crate::support::program::read_reply(&mut watcher);
    }
    let (local, remote) = (server.address.port(), watcher.local_addr().expect("an address").port());
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut own = fields.filter(|fields| fields[1].ends_with(&local) && fields[2].ends_with(&remote));
    let timer = own.next().expect("the server's end")[5].split(':').next().expect("a timer").to_owned();
    assert_eq!(timer, KEEPALIVE);
    drop(watcher);
    server.stop();
}

/// One address cannot take all files of a server that may have few.
#[tokio::test]
async fn the_connections_of_an_address_leave_files_for_others() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_chat-server")]);
    let server = Program::start_by(command, &["--store", "memory"]);
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(TcpStream::connect(server.address).await.expect("a connection"));
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
    let mut other = Peer::new(socket.connect(server.address).await.expect("a connection"));
    let reply = {
        other.send("auth messi surabaya\n").await;
        other.try_reply().await
    };
    drop((crowd, other));
    let log = server.stop();
    assert!(reply.as_ref().is_some_and(|reply| reply.contains("tokenid")), "{reply:?} {log}");
    assert!(log.contains("fewer open files than connections"), "{log}");
    assert!(log.contains("files=256 connections=192 per_address=19"), "{log}");
}
