//! What the process gives up before it talks to anybody: files that it does not need, connections to elsewhere, core dumps.

use std::{fmt, fs, os::unix::fs::DirBuilderExt, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, make_bitflags,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// The newest version of Landlock whose rights are asked for; an older kernel enforces those that it knows.
const NEWEST: ABI = ABI::V6;

/// What the server does in a folder of its own.
const OWN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | MakeDir | RemoveDir | Refer
});

/// What it does where certificates are.
const CERTIFICATES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// Which files the process can open from now on.
pub(super) enum Confinement {
    /// Nothing outside these folders.
    To {
        /// They are read and written.
        own: Vec<PathBuf>,
        /// They are read.
        read: Vec<PathBuf>,
        /// The kernel does not know all of it.
        partly: bool,
    },
    /// As many as its user can: why.
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

/// Confines this thread, and all that it starts later, to the folders in `own`, and for reading to those in `read`. (Folders
/// and not files, because files are replaced.) What is open already stays so. Folders in `own` are made if they are missing.
pub(super) fn confine(own: &[PathBuf], read: &[PathBuf]) -> Confinement {
    let resolved = |folders: &[PathBuf]| {
        let mut all: Vec<_> = folders.iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
        all.sort();
        // What is inside another one comes right after it.
        all.dedup_by(|inner, outer| inner.starts_with(outer));
        all
    };
    for folder in own {
        // Whoever needs it says why it cannot be had.
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
        // It has nothing to say to other servers.
        .handle_access(AccessNet::ConnectTcp)?
        .create()?;
    for (folders, access) in [(own, OWN), (read, CERTIFICATES)] {
        for folder in folders {
            // One that is not there cannot be opened either.
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

/// A crash leaves no file with passwords and tokens in it, and other processes of the same user cannot look into this one.
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
