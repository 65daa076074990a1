//! Modules import only from modules below them.

use std::{fs, path::Path};

/// From the top down. `server`, `client` and `admin` are side by side: none imports another.
const LAYERS: [&[&str]; 7] = [
    &["server", "client", "admin"],
    &["commands"],
    &["service"],
    &["users"],
    &["store"],
    &["protocol", "fingerprint", "files"],
    &["config"],
];

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("{module} has no layer"))
}

/// Every `crate::module` that the text names, in `use` lines, groups and paths.
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
