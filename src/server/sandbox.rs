//! Confines the process before it serves: to the files that it needs, without outgoing connections, other kinds of sockets,
//! capabilities, and core dumps.

mod capabilities;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod system_calls;

use std::{fmt, fs, os::unix::fs::DirBuilderExt, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use self::capabilities::Capabilities;
pub(super) use self::capabilities::warn_of_root;

/// Newest version of Landlock that is used. An older kernel enforces the rights that it knows.
const NEWEST: ABI = ABI::V6;

/// Access to the folders that the server writes.
const OWN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | MakeDir | RemoveDir | Refer
});

/// Access to the folders of certificates.
const CERTIFICATES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// What the server needs while it serves.
pub(super) struct Needs {
    /// Folders to read and write. Missing ones are created.
    pub(super) own: Vec<PathBuf>,
    /// Folders to read.
    pub(super) read: Vec<PathBuf>,
    /// Files in these folders that exist already. The first one is replaced by others of the same owner and group.
    pub(super) files: Vec<PathBuf>,
}

/// What the process can still do.
pub(super) struct Confinement {
    opens: Opens,
    capabilities: Capabilities,
    /// Why the system calls are not filtered.
    calls: Result<(), String>,
}

/// What the process can open.
enum Opens {
    /// Only files in these folders.
    In {
        /// Folders to read and write.
        own: Vec<PathBuf>,
        /// Folders to read.
        read: Vec<PathBuf>,
        /// What the kernel is too old to confine.
        missing: Vec<&'static str>,
    },
    /// All files that its user can open; the reason.
    All(String),
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |folders: &[PathBuf]| {
            let all: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            all.join(", ")
        };
        match &self.opens {
            Opens::In { own, read, missing } => {
                write!(f, "to {}", list(own))?;
                if !read.is_empty() {
                    write!(f, "; reads {}", list(read))?;
                }
                if !missing.is_empty() {
                    write!(f, " (partly: the kernel is too old to confine {})", missing.join(", "))?;
                }
            }
            Opens::All(why) => write!(f, "no: {why}")?,
        }
        write!(f, "; {}; system calls ", self.capabilities)?;
        match &self.calls {
            Ok(()) => f.write_str("filtered"),
            Err(why) => write!(f, "not filtered: {why}"),
        }
    }
}

/// Confines this thread, and all threads that it starts later, to what it needs. (To folders, because files are replaced.) Open files
/// and bound sockets stay open.
pub(super) fn confine(needs: &Needs) -> Confinement {
    for folder in &needs.own {
        // The caller that needs the folder reports why it cannot be created.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok();
    }
    // Reads the owners of files outside these folders, too.
    let capabilities = capabilities::give_up(needs);
    let opens = restrict_files(needs);
    Confinement { opens, capabilities, calls: filter_calls() }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn filter_calls() -> Result<(), String> {
    system_calls::filter().map_err(|error| error.to_string())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn filter_calls() -> Result<(), String> {
    Err("there is no filter for this architecture".to_owned())
}

fn restrict_files(needs: &Needs) -> Opens {
    let resolved = |folders: &[PathBuf]| {
        let mut all: Vec<_> = folders.iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
        all.sort();
        // A folder inside another one comes right after it.
        all.dedup_by(|inner, outer| inner.starts_with(outer));
        all
    };
    let own = resolved(&needs.own);
    let mut read = resolved(&needs.read);
    read.retain(|folder| !own.iter().any(|own| folder.starts_with(own)));
    match restrict(&own, &read) {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => Opens::In { own, read, missing: Vec::new() },
            RulesetStatus::PartiallyEnforced => Opens::In { own, read, missing: missing(&status.landlock) },
            RulesetStatus::NotEnforced => Opens::All(why_not(&status.landlock).to_owned()),
        },
        Err(error) => Opens::All(error.to_string()),
    }
}

fn restrict(own: &[PathBuf], read: &[PathBuf]) -> Result<landlock::RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        // The server makes no outgoing connections, and has bound its ports.
        .handle_access(AccessNet::ConnectTcp | AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (folders, access) in [(own, OWN), (read, CERTIFICATES)] {
        for folder in folders {
            // A folder that does not exist cannot be opened either.
            if let Ok(opened) = PathFd::new(folder) {
                ruleset = ruleset.add_rule(PathBeneath::new(opened, access))?;
            }
        }
    }
    ruleset.restrict_self()
}

/// What this kernel's Landlock does not know.
fn missing(status: &LandlockStatus) -> Vec<&'static str> {
    let LandlockStatus::Available { effective_abi, .. } = status else {
        return Vec::new();
    };
    let since = [
        (ABI::V3, "truncation of files"),
        (ABI::V4, "TCP connections"),
        (ABI::V5, "devices"),
        (ABI::V6, "signals and abstract sockets"),
    ];
    since.into_iter().filter(|(abi, _)| effective_abi < abi).map(|(_, what)| what).collect()
}

fn why_not(status: &LandlockStatus) -> &'static str {
    match status {
        LandlockStatus::NotEnabled => "Landlock is switched off in this kernel",
        LandlockStatus::NotImplemented => "this kernel has no Landlock",
        LandlockStatus::Available { .. } => "the kernel did not say why",
    }
}

/// Disables core dumps, which would have passwords and tokens in them, and keeps other processes of the user from reading the memory.
pub(super) fn keep_memory_private() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a crash may leave a core dump with passwords in it");
    }
}

#[cfg(test)]
mod tests;
