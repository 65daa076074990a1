//! The man pages and completion scripts of both programs, made from the definitions of their arguments.

use std::io::{self, Write};

use clap::{Command, Subcommand, ValueEnum};
use clap_complete::aot;
use clap_mangen::{Man, roff::Roff};

/// The commands that both programs have.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ManualCommand {
    /// Print a completion script, with which a shell completes the commands and flags of this program
    Completions {
        /// The shell that reads the script
        shell: Shell,
    },
    /// Print the man page of this program; `man -l FILE` shows it
    Man,
}

/// The shells with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// The Z shell
    Zsh,
    /// fish
    Fish,
}

impl ManualCommand {
    /// The script or page for a program.
    #[must_use]
    pub fn text(self, program: Command) -> String {
        match self {
            ManualCommand::Completions { shell } => completions(program, shell),
            ManualCommand::Man => page(program),
        }
    }
}

fn completions(mut program: Command, shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    aot::generate(shell, &mut program, &name, &mut script);
    // For bash, clap_complete 4.6.11 writes the hyphen of the program's name in two ways, so that no command is found:
    // https://github.com/clap-rs/clap/issues/6421.
    text(script).replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it is made of the definitions, which are UTF-8")
}

/// One page with all commands: a reader searches one text. It has neither a version nor a date, with which it would change when nothing
/// else does.
fn page(mut program: Command) -> String {
    let title = program.get_name().to_uppercase();
    let mut commands = String::new();
    add_commands(&mut commands, &program, "");
    // Not a list of all flags.
    let usage = usage(&mut program);
    let man = Man::new(program.override_usage(usage));
    [
        Roff::new().render(),
        format!(".TH {title} 1 \"\" chat-service \"User Commands\"\n"),
        section(|page| man.render_name_section(page)),
        section(|page| man.render_synopsis_section(page)),
        section(|page| man.render_description_section(page)),
        ".SH COMMANDS\n".to_owned(),
        commands,
        section(|page| man.render_options_section(page)),
    ]
    .concat()
}

/// Adds the commands below a command, each with its usage and its own arguments.
fn add_commands(page: &mut String, parent: &Command, path: &str) {
    for command in parent.get_subcommands() {
        let path = format!("{path}{} ", command.get_name());
        if command.has_subcommands() {
            add_commands(page, command, &path);
            continue;
        }
        // Not those that every command has: they are described once.
        let own = command.get_arguments().filter(|argument| !argument.is_global_set());
        let about = command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
        let mut command = Command::new("")
            .bin_name(path.trim_end())
            .args(own.cloned().collect::<Vec<_>>())
            .about(about)
            .disable_help_flag(true);
        page.push_str(&Roff::new().control("SS", [usage(&mut command).as_str()]).to_roff());
        let man = Man::new(command);
        page.push_str(without_heading(&section(|page| man.render_description_section(page))));
        page.push_str(without_heading(&section(|page| man.render_options_section(page))));
    }
}

/// How a command is written, such as `send [OPTIONS] <TO>`.
fn usage(command: &mut Command) -> String {
    command.render_usage().to_string().trim_start_matches("Usage: ").to_owned()
}

/// A part of a page, without what `clap_mangen` writes before each.
fn section(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut part = Vec::new();
    render(&mut part).expect("a Vec takes everything");
    let part = text(part);
    part.strip_prefix(&Roff::new().render()).map(str::to_owned).unwrap_or(part)
}

/// A part of a page without its first line.
fn without_heading(section: &str) -> &str {
    section.split_once('\n').map_or("", |(_, rest)| rest)
}
