//! How many instructions the work of a request takes, compared with what is recorded: `cargo bench --profile counts --bench instructions`.
//!
//! Counts are the same where times are not. valgrind counts those of this program, which does the work of one case a
//! number of times. It counts twice, with two numbers: the difference is free of what the program does besides.
//! `UPDATE_INSTRUCTIONS=1` records the counts anew.

mod cases;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use serde::{Deserialize, Serialize};

use self::cases::{CASES, Case};

/// How often the work is done in the shorter run and in the longer one.
const TIMES: [u32; 2] = [1_000, 5_000];

/// From how many percent more the check fails.
const ALLOWANCE: f64 = 10.0;

/// The same beside figures of another compiler or processor.
const WIDE_ALLOWANCE: f64 = 25.0;

/// The first argument of a run that is counted.
const WORK: &str = "work";

const HEAD: &str = "# Instructions of one time. Written by UPDATE_INSTRUCTIONS=1 cargo bench --profile counts --bench instructions\n\n";

/// What is recorded.
#[derive(Serialize, Deserialize)]
struct Record {
    rustc: String,
    processor: String,
    instructions: BTreeMap<String, u32>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, name, times] if first == WORK => work(name, times),
        _ => check(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            writeln!(io::stderr(), "{reason}").ok();
            ExitCode::FAILURE
        }
    }
}

/// What is counted.
fn work(name: &str, times: &str) -> Result<(), String> {
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    let times: u32 = times.parse().map_err(|_| "not a number")?;
    // Elsewhere, because a login has threads: whichever comes first, this thread's part of the heap is as it was.
    let mut work = thread::spawn(case.prepare).join().map_err(|_| "not prepared")?;
    for _ in 0..times {
        work();
    }
    Ok(())
}

fn check() -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let update = env::var_os("UPDATE_INSTRUCTIONS").is_some();
    let recorded = if update { None } else { Some(read(&file)?) };
    let (rustc, processor) = (rustc()?, env::consts::ARCH.to_owned());
    let allowance = recorded.as_ref().map_or(ALLOWANCE, |recorded| {
        if recorded.rustc == rustc && recorded.processor == processor {
            return ALLOWANCE;
        }
        say(&format!(
            "recorded with {} on {}, counted with {rustc} on {processor}: {WIDE_ALLOWANCE} % are allowed",
            recorded.rustc, recorded.processor
        ));
        WIDE_ALLOWANCE
    });
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for case in &CASES {
        let counted = count(case, folder.path())?;
        counts.insert(case.name.to_owned(), counted);
        match &recorded {
            None => say(&format!("{:<20} {counted:>8}", case.name)),
            Some(record) => match record.instructions.get(case.name) {
                None => failures.push(format!("{} is not recorded", case.name)),
                Some(recorded) => failures.extend(compare(case, *recorded, counted, allowance)),
            },
        }
    }
    let Some(recorded) = recorded else {
        return write(&file, &Record { rustc, processor, instructions: counts });
    };
    let gone = recorded.instructions.keys().filter(|name| !counts.contains_key(*name));
    failures.extend(gone.map(|name| format!("{name} is recorded, and not counted any more")));
    if failures.is_empty() {
        return Ok(());
    }
    failures.push(
        "If that is meant: UPDATE_INSTRUCTIONS=1 cargo bench --profile counts --bench instructions"
            .to_owned(),
    );
    Err(failures.join("\n"))
}

/// Says how a count compares; what is wrong with it, if anything is.
fn compare(case: &Case, recorded: u32, counted: u32, allowance: f64) -> Option<String> {
    let percent = (f64::from(counted) / f64::from(recorded) - 1.0) * 100.0;
    let line = format!("{:<20} recorded {recorded:>8}, counted {counted:>8}: {percent:+.1} %", case.name);
    let hint = if percent <= -allowance { ", record it anew" } else { "" };
    say(&format!("{line}{hint}"));
    (percent >= allowance).then(|| format!("too many: {line}"))
}

/// The instructions of one time.
fn count(case: &Case, folder: &Path) -> Result<u32, String> {
    let [few, many] = TIMES;
    let (less, more) = (count_run(case, few, folder)?, count_run(case, many, folder)?);
    let (difference, times) = (more.saturating_sub(less), u64::from(many - few));
    u32::try_from((difference + times / 2) / times).map_err(|_| format!("{} takes too long", case.name))
}

/// All instructions of a run that does the work so many times.
fn count_run(case: &Case, times: u32, folder: &Path) -> Result<u64, String> {
    let out: PathBuf = folder.join("cachegrind.out");
    let program = env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    // Of valgrind's tools this one counts soonest, when it simulates nothing.
    let run = Command::new("valgrind")
        .args(["--quiet", "--tool=cachegrind", "--cache-sim=no"])
        .arg(format!("--cachegrind-out-file={}", out.display()))
        .arg(program)
        .args([WORK, case.name, &times.to_string()])
        .output();
    let run = match run {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("valgrind is missing: apt-get install valgrind".to_owned());
        }
        run => run.map_err(|error| format!("valgrind does not run: {error}"))?,
    };
    if !run.status.success() {
        return Err(format!("{}: {}\n{}", case.name, run.status, String::from_utf8_lossy(&run.stderr)));
    }
    let counts = fs::read_to_string(&out).map_err(|error| format!("valgrind wrote nothing: {error}"))?;
    let total = counts.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
    total.ok_or_else(|| "valgrind wrote no summary".to_owned())
}

/// The version of the compiler that cargo runs.
fn rustc() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let run = Command::new(rustc).arg("--version").output();
    let run = run.map_err(|error| format!("rustc does not run: {error}"))?;
    Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

fn read(file: &Path) -> Result<Record, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, record: &Record) -> Result<(), String> {
    let text = toml::to_string(record).map_err(|error| error.to_string())?;
    fs::write(file, HEAD.to_owned() + &text).map_err(|error| format!("{}: {error}", file.display()))
}

fn say(line: &str) {
    writeln!(io::stdout(), "{line}").ok();
}
