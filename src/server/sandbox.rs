//! Confines the process before it serves: to the files that it needs, without outgoing connections, without core dumps.

use std::{fmt, fs, os::unix::fs::DirBuilderExt, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, make_bitflags,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Newest version of Landlock that is used. An older kernel enforces the rights that it knows.
const NEWEST: ABI = ABI::V6;

/// Access to the folders that the server writes.
const OWN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | MakeDir | RemoveDir | Refer
});

/// Access to the folders of certificates.
const CERTIFICATES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// What the process can open.
pub(super) enum Confinement {
    /// Only files in these folders.
    To {
        /// Folders to read and write.
        own: Vec<PathBuf>,
        /// Folders to read.
        read: Vec<PathBuf>,
        /// The kernel does not enforce all of it.
        partly: bool,
    },
    /// All files that its user can open; the reason.
    None(String),
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |folders: &[PathBuf]| {
            let all: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            all.join(", ")
        };
        match self {
            Confinement::To { own, read, partly } => {
                write!(f, "to {}", list(own))?;
                if !read.is_empty() {
                    write!(f, "; reads {}", list(read))?;
                }
                if *partly { write!(f, " (partly: the kernel is old)") } else { Ok(()) }
            }
            Confinement::None(why) => write!(f, "no: {why}"),
        }
    }
}

/// Confines this thread, and all threads that it starts later, to the folders in `own` and, for reading, in `read`. (Folders, because
/// files are replaced.) Open files stay open. Creates missing folders in `own`.
pub(super) fn confine(own: &[PathBuf], read: &[PathBuf]) -> Confinement {
    let resolved = |folders: &[PathBuf]| {
        let mut all: Vec<_> = folders.iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
        all.sort();
        // A folder inside another one comes right after it.
        all.dedup_by(|inner, outer| inner.starts_with(outer));
        all
    };
    for folder in own {
        // The caller that needs the folder reports why it cannot be created.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok();
    }
    let own = resolved(own);
    let mut read = resolved(read);
    read.retain(|folder| !own.iter().any(|own| folder.starts_with(own)));
    match restrict(&own, &read) {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => Confinement::To { own, read, partly: false },
            RulesetStatus::PartiallyEnforced => Confinement::To { own, read, partly: true },
            RulesetStatus::NotEnforced => Confinement::None(why_not(&status.landlock).to_owned()),
        },
        Err(error) => Confinement::None(error.to_string()),
    }
}

fn restrict(own: &[PathBuf], read: &[PathBuf]) -> Result<landlock::RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        // The server makes no outgoing connections.
        .handle_access(AccessNet::ConnectTcp)?
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
mod tests {
    use super::*;

    #[test]
    fn a_crash_leaves_no_core_dump() {
        keep_memory_private();
        assert_eq!(rustix::process::dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
    }
}
