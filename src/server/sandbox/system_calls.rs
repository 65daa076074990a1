//! Refuses the system calls that a server never needs and an attacker would. What is not named here is allowed, so that the filter
//! never is in the way of the store.

use libc::{AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, MSG_FASTOPEN, c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};

/// System calls that are refused whatever their arguments are.
const REFUSED: &[c_long] = &[
    // The server starts no program.
    libc::SYS_execve,
    libc::SYS_execveat,
    // It does not look into other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // It stays in its namespaces, and mounts nothing.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    // It neither changes nor measures the kernel.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // It keeps no keys in the kernel.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // It does not use io_uring, which opens sockets without the calls that are filtered.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Numbers from here on are calls of the x32 ABI, which has most of the calls above a second time.
const X32: u32 = 0x4000_0000;

/// What a refused call returns.
const REFUSAL: SeccompAction = SeccompAction::Errno(libc::EPERM.cast_unsigned());

/// Filters the system calls of this thread, and of all threads that it starts later.
pub(super) fn filter() -> Result<(), seccompiler::Error> {
    apply_filter(&program()?)
}

fn program() -> Result<BpfProgram, BackendError> {
    let mut rules: Vec<_> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    rules.push((libc::SYS_socket, sockets()?));
    // Fast Open connects without `connect`, so Landlock does not notice.
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.push((call, vec![rule(&[(flags, has(MSG_FASTOPEN), MSG_FASTOPEN)])?]));
    }
    let filter = SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Allow,
        REFUSAL,
        std::env::consts::ARCH.try_into()?,
    )?;
    let mut program = refuse_x32();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// When `socket(family, type, protocol)` is refused: unless the socket is local, or a TCP socket.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let networked = (0, SeccompCmpOp::Ne, AF_UNIX);
    // Streams of other protocols, such as SCTP, connect without Landlock.
    let protocol = [networked.clone(), (2, SeccompCmpOp::Ne, 0), (2, SeccompCmpOp::Ne, IPPROTO_TCP)];
    let family = [networked.clone(), (0, SeccompCmpOp::Ne, AF_INET), (0, SeccompCmpOp::Ne, AF_INET6)];
    let mut rules = vec![rule(&family)?, rule(&protocol)?];
    // The type is in the last four bits, beside flags. Streams have the type 1: no other bit than the last.
    for (bit, value) in [(1, 0), (2, 2), (4, 4), (8, 8)] {
        rules.push(rule(&[networked.clone(), (1, has(bit), value)])?);
    }
    Ok(rules)
}

/// Compares only these bits.
fn has(bits: c_int) -> SeccompCmpOp {
    SeccompCmpOp::MaskedEq(u64::from(bits.cast_unsigned()))
}

/// A rule that matches when all of the conditions do: number of the argument, comparison, value. The kernel reads 32 bits of each.
fn rule(conditions: &[(u8, SeccompCmpOp, c_int)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().cloned().map(|(argument, compare, value)| {
        let value = u64::from(value.cast_unsigned());
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// Refuses the calls of the x32 ABI, and lets the rest of a program judge others.
fn refuse_x32() -> BpfProgram {
    let step = |code: u32, jf, k| {
        let code = u16::try_from(code).expect("codes of instructions have 16 bits");
        sock_filter { code, jt: 0, jf, k }
    };
    vec![
        // The number of the call is the first field.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32),
        step(libc::BPF_RET | libc::BPF_K, 0, REFUSAL.into()),
    ]
}
