use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    thread,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, Protocol, SendFlags, SocketType, ipproto, sendto, socket},
    process::{Pid, test_kill_process},
};

use super::*;

#[test]
fn a_crash_leaves_no_core_dump() {
    keep_memory_private();
    assert_eq!(rustix::process::dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
}

/// Confines a thread to an empty folder, and runs `then` on it.
fn confined(then: impl FnOnce(&Confinement) + Send) {
    let folder = tempfile::tempdir().expect("a folder");
    let needs = Needs { own: vec![folder.path().to_owned()], read: Vec::new(), files: Vec::new() };
    // The other threads of the test stay free.
    thread::scope(|scope| {
        scope.spawn(move || then(&confine(&needs))).join().expect("it does not panic");
    });
}

/// Whether the system calls are filtered.
fn filters(confinement: &Confinement) -> bool {
    or_skip(confinement.calls.as_ref().err().map(String::as_str))
}

/// Whether this kernel's Landlock knows all that is used.
fn is_whole(confinement: &Confinement) -> bool {
    or_skip(match &confinement.opens {
        Opens::In { missing, .. } => missing.first().copied(),
        Opens::All(why) => Some(why),
    })
}

#[expect(clippy::print_stderr, reason = "a part of a test that is skipped says so")]
fn or_skip(why: Option<&str>) -> bool {
    why.inspect(|why| eprintln!("skipped: {why}")).is_none()
}

#[test]
fn a_confined_thread_opens_local_and_tcp_sockets_only() {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let open = |family, kind, protocol: Option<Protocol>| socket(family, kind, protocol).map(drop);
    let (v4, v6, stream) = (AddressFamily::INET, AddressFamily::INET6, SocketType::STREAM);
    // Allowed outside, so that a refusal is the filter's.
    assert!(open(v4, SocketType::DGRAM, None).is_ok());
    confined(|confinement| {
        if !filters(confinement) {
            return;
        }
        for refused in [
            open(v4, SocketType::DGRAM, None),
            open(v6, SocketType::DGRAM, None),
            open(v4, SocketType::RAW, Some(ipproto::ICMP)),
            open(v4, SocketType::SEQPACKET, None),
            open(v4, stream, Some(ipproto::SCTP)),
            open(v4, stream, Some(ipproto::MPTCP)),
            open(AddressFamily::NETLINK, SocketType::RAW, None),
            open(AddressFamily::PACKET, SocketType::DGRAM, None),
        ] {
            assert_eq!(refused, Err(Errno::PERM));
        }
        // The standard library adds flags to the type.
        assert_eq!(
            UdpSocket::bind(here).map(drop).map_err(|error| error.kind()),
            Err(ErrorKind::PermissionDenied)
        );
        assert_eq!(open(v4, stream, None), Ok(()));
        assert_eq!(open(v6, stream, Some(ipproto::TCP)), Ok(()));
        assert!(UnixDatagram::unbound().is_ok());
    });
}

#[test]
fn a_confined_thread_connects_nowhere() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let there = listener.local_addr().expect("an address");
    let fast_open = || {
        let from = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sendto(&from, b"hi", SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned()), &there)
    };
    assert_eq!(fast_open(), Ok(2));
    confined(|confinement| {
        if filters(confinement) {
            assert_eq!(fast_open(), Err(Errno::PERM));
        }
        if is_whole(confinement) {
            assert!(
                TcpStream::connect(there).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            );
        }
    });
}

#[test]
fn a_confined_thread_starts_no_program_and_signals_no_other_process() {
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().expect("it starts");
    let number = Pid::from_child(&other);
    // Sends no signal: this is only whether one could be sent.
    assert_eq!(test_kill_process(number), Ok(()));
    confined(|confinement| {
        if filters(confinement) {
            let started = Command::new("/bin/true").spawn().map(drop);
            assert_eq!(started.map_err(|error| error.raw_os_error()), Err(Some(libc::EPERM)));
        }
        if is_whole(confinement) {
            assert_eq!(test_kill_process(number), Err(Errno::PERM));
        }
    });
    // The end of its input is its end.
    drop(other.stdin.take());
    other.wait().expect("it ends");
}

#[test]
fn a_confined_thread_has_no_capabilities() {
    confined(|confinement| {
        assert_eq!(confinement.capabilities.to_string(), "no capabilities");
        let left = rustix::thread::capabilities(None).expect("read");
        assert!(
            left.permitted.is_empty() && left.effective.is_empty() && left.inheritable.is_empty(),
            "{left:?}"
        );
    });
}

#[test]
fn the_banner_names_what_is_not_confined() {
    let mut confinement = Confinement {
        opens: Opens::In {
            own: vec!["/data".into()],
            read: vec!["/certs".into()],
            missing: missing(&LandlockStatus::Available { effective_abi: ABI::V4, kernel_abi: None }),
        },
        capabilities: Capabilities::None,
        calls: Ok(()),
    };
    assert_eq!(
        confinement.to_string(),
        "to /data; reads /certs (partly: the kernel is too old to confine devices, signals and abstract sockets); \
         no capabilities; system calls filtered"
    );
    confinement = Confinement {
        opens: Opens::All(why_not(&LandlockStatus::NotImplemented).to_owned()),
        capabilities: Capabilities::ForFiles("/data".into()),
        calls: Err("there is no filter for this architecture".to_owned()),
    };
    assert_eq!(
        confinement.to_string(),
        "no: this kernel has no Landlock; only capabilities for files, because /data belongs to another user or group; \
         system calls not filtered: there is no filter for this architecture"
    );
}
