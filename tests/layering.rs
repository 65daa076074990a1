//! Modules import only from modules below them.

use std::{fs, path::Path};

/// Layers from top to bottom. Modules of the same layer do not import one another.
const LAYERS: [&[&str]; 8] = [
    &["server", "cli", "admin"],
    &["wire", "client"],
    &["chat"],
    &["users"],
    &["store"],
    &["protocol", "fingerprint", "files"],
    &["model"],
    &["config"],
];

/// All modules that these modules may import.
const ONLY: [(&str, &[&str]); 7] = [
    // The client must not contain the server.
    ("cli", &["client", "protocol", "model", "config", "fingerprint", "files"]),
    ("client", &["protocol", "model", "config", "fingerprint", "files"]),
    // The rules of the chat server do not depend on a wire.
    ("chat", &["users", "store", "model", "config"]),
    ("store", &["files", "model", "config"]),
    ("users", &["files", "model", "config"]),
    ("protocol", &["model"]),
    ("model", &[]),
];

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("{module} has no layer"))
}

/// Returns each module that the text names as `crate::module`, in `use` lines, groups and paths.
fn imports(text: &str) -> Vec<String> {
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut modules = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = text[at + "crate::".len()..].trim_start();
        match rest.strip_prefix('{') {
            None => modules.push(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && c.is_alphabetic() => {
                            modules.push(word(&group[i..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    modules
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn visit(folder: &Path, check: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, check);
        } else {
            check(&path, &fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

#[test]
fn imports_point_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    visit(&src, &mut |path, text| {
        let inside = path.strip_prefix(&src).expect("inside").with_extension("");
        let module = inside.iter().next().and_then(|part| part.to_str()).expect("a name").to_owned();
        if module == "lib" || module == "bin" {
            return;
        }
        for import in imports(text) {
            let down = import == module || layer(&import) > layer(&module);
            assert!(down, "{}: {module} imports {import}", path.display());
            let only = ONLY.iter().find(|(name, _)| *name == module).map(|(_, only)| only);
            let may = import == module || only.is_none_or(|only| only.contains(&import.as_str()));
            assert!(may, "{}: {module} must not import {import}", path.display());
            seen += 1;
        }
    });
    assert!(seen > 30, "only {seen} imports seen: the test is blind");
}

#[test]
fn the_test_sees_every_form_of_import() {
    let text =
        "use crate::{store::{A, B}, users::C, protocol};\nfn f(x: crate::config::D) {}\n// crate::nothing";
    assert_eq!(imports(text), ["store", "users", "protocol", "config"]);
}

/// A reply is opened in one place, after a wait for its position. (The log opens values that are durable.)
#[test]
fn only_the_gate_opens_what_waits_for_the_disk() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut places = Vec::new();
    visit(&src, &mut |path, text| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.filter(|line| line.contains("open_at_gate(")).count() > 0 {
            places.push(path.strip_prefix(&src).expect("inside").display().to_string());
        }
    });
    places.sort_unstable();
    assert_eq!(places, ["model/at.rs", "server/output.rs", "store/commit_log.rs"]);
}

/// Only the line protocol, in `wire/text`, knows dialects.
#[test]
fn nothing_but_the_line_protocol_knows_dialects() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    visit(&src, &mut |path, text| {
        let inside = path.strip_prefix(&src).expect("inside");
        if !inside.starts_with("wire/text") {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert_eq!(code.filter(|line| line.contains("Dialect")).count(), 0, "{}", path.display());
        }
    });
}
