//! Reading a password: hidden on a terminal, else a line of standard input.

use std::io::{self, BufRead, IsTerminal};

use zeroize::Zeroizing;

use crate::{model::Secret, users::password_policy};

/// How often the terminal is asked for the same password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    /// Asks again and compares, because a hidden password can be mistyped.
    Twice,
}

/// Reads a password, without its line end.
pub(super) fn password(prompt: &str, times: Times) -> io::Result<Secret> {
    if !io::stdin().is_terminal() {
        return line(io::stdin().lock());
    }
    let password = Secret::new(rpassword::prompt_password(prompt)?);
    if times == Times::Twice {
        let again = Secret::new(rpassword::prompt_password("Again: ")?);
        if password.reveal() != again.reveal() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the two were not the same: nothing was changed",
            ));
        }
    }
    Ok(password)
}

/// The first line of `input`.
fn line(input: impl BufRead) -> io::Result<Secret> {
    // Longer than any valid password, so that one that is too long is rejected and not cut off. The capacity is
    // reserved at once, because a buffer that grows leaves unwiped copies behind.
    let most = password_policy::MAX_BYTES + 3;
    let mut line = Zeroizing::new(String::with_capacity(most));
    input.take(most as u64).read_line(&mut line)?;
    let end = line.strip_suffix('\n').map_or(&**line, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    Ok(Secret::new(end.to_owned()))
}
