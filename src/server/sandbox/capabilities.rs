//! Gives up the capabilities of the process: the rights that make root root.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{self, Path, PathBuf},
};

use rustix::{
    process::{getegid, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
    },
};

use super::Needs;

/// What it takes to use files of another user, and to act as their owner ([`AsOwner`](crate::files::AsOwner)).
const FILES_OF_OTHERS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Which capabilities the process has left.
pub(super) enum Capabilities {
    /// None.
    None,
    /// Those for files of others, because of this file or folder.
    ForFiles(PathBuf),
    /// All that it had; the reason.
    All(io::Error),
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capabilities::None => f.write_str("no capabilities"),
            Capabilities::ForFiles(path) => {
                write!(
                    f,
                    "only capabilities for files, because {} belongs to another user or group",
                    path.display()
                )
            }
            Capabilities::All(why) => write!(f, "all capabilities: {why}"),
        }
    }
}

/// Gives up the capabilities of this thread and of those that it starts later. Keeps those for files if the process needs a file that
/// it could not use otherwise.
pub(super) fn give_up(needs: &Needs) -> Capabilities {
    // What started programs could get. No program is started, so it does no harm that an ordinary user may not change this.
    (0..u64::BITS)
        .map(|number| remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)))
        .take_while(Result::is_ok)
        .for_each(drop);
    match keep(needs) {
        Ok(Some(path)) => Capabilities::ForFiles(path),
        Ok(None) => Capabilities::None,
        Err(error) => Capabilities::All(error),
    }
}

/// Returns the reason if capabilities are kept. The ambient set is empty when the inheritable one is.
fn keep(needs: &Needs) -> io::Result<Option<PathBuf>> {
    let left = capabilities(None)?.permitted & FILES_OF_OTHERS;
    let foreign = if left.is_empty() { None } else { foreign(needs) };
    let left = if foreign.is_some() { left } else { CapabilitySet::empty() };
    set_capabilities(
        None,
        CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() },
    )?;
    Ok(foreign)
}

/// The first file or folder, or folder on the way there, that does not belong to the user of this process.
fn foreign(needs: &Needs) -> Option<PathBuf> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    // A file with another group cannot be replaced by one with the same group.
    let replaced =
        needs.files.first().filter(|file| fs::metadata(file).is_ok_and(|found| found.gid() != group));
    let all = needs.own.iter().chain(&needs.read).chain(&needs.files);
    let is_foreign = |path: &&Path| fs::metadata(path).is_ok_and(|found| found.uid() != user);
    let on_the_way = |path: &PathBuf| {
        let both = [path::absolute(path).ok(), fs::canonicalize(path).ok()];
        both.iter().flatten().find_map(|path| path.ancestors().find(is_foreign).map(Path::to_owned))
    };
    all.clone().find_map(on_the_way).or_else(|| replaced.cloned())
}

/// Warns if the process has the rights of root on this machine.
pub(in crate::server) fn warn_of_root() {
    // In a user namespace, root may be anybody outside.
    let map = fs::read_to_string("/proc/self/uid_map");
    let is_mapped = map.is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]));
    if geteuid().is_root() && !is_mapped {
        tracing::warn!(
            "the server runs as root: an attacker who takes it over can change root's files; \
             remedy: run it as a user of its own (useradd --system chat, and User=chat in its systemd unit)"
        );
    }
}
