//! A users file with anything in it is understood or refused, and no password in it is shown.

use chat_service::users;

const PASSWORD: &str = "kanari-7f3a";

/// What stands in the input before the first 0xff comes before a password, the rest after it. The password itself is
/// put there as a string, as a bare word or as a number.
///
/// # Panics
/// If it is shown.
pub fn check(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == 0xff).unwrap_or(input.len());
    let (before, after) = input.split_at(at);
    let before = String::from_utf8_lossy(before);
    let after = String::from_utf8_lossy(after.get(1..).unwrap_or_default());
    for (key, password) in
        [("password = \"", PASSWORD), ("password = ", PASSWORD), ("password = ", "73331337")]
    {
        show(&format!("{before}\n{key}{password}{after}"), password);
    }
}

fn show(text: &str, password: &str) {
    if text.matches(password).count() > 1 {
        // It stands elsewhere, too: in a name that may be shown.
        return;
    }
    let shown = match users::parse(text, "users.toml") {
        Ok(loaded) => format!("{loaded:?}{}", loaded.warnings.concat()),
        Err(error) => error.to_string(),
    };
    assert!(!shown.contains(password), "{shown}");
}
