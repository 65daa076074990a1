//! The picture of the client in the documentation, made of a session on a terminal. `UPDATE_GENERATED=1 cargo test picture` draws it anew.

use std::{fmt::Write, fs, path::Path};

use crate::support::terminal::Stage;

/// Width and height of a character, in pixels.
const CELL: (usize, usize) = (9, 20);

/// Colours of a terminal: eight, and eight bright ones.
const COLOURS: [&str; 16] = [
    "#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9", "#5c6370",
    "#ff7a85", "#b5e890", "#ffd787", "#82c7ff", "#e2a0ff", "#7fe0ec", "#ffffff",
];

/// What has a colour of its own is drawn in it.
fn colour(cell: &vt100::Cell) -> &'static str {
    match cell.fgcolor() {
        vt100::Color::Idx(index) => COLOURS[usize::from(index) % COLOURS.len()],
        _ if cell.dim() => "#7f8694",
        _ => "#d8dee9",
    }
}

/// Draws a screen: a text for each run of characters of the same colour.
fn draw(screen: &vt100::Screen) -> String {
    let (_, columns) = screen.size();
    let rows = screen.cursor_position().0 + 1;
    let columns = columns.get();
    let (width, height) = (usize::from(columns) * CELL.0 + 32, usize::from(rows) * CELL.1 + 32);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>chat-client on a terminal</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#22252c\"/>\n\
         <g font-family=\"monospace\" font-size=\"15\" xml:space=\"preserve\">\n"
    );
    for row in 0..rows {
        let mut runs: Vec<(u16, &str, String)> = Vec::new();
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column).filter(|cell| cell.has_contents()) else { continue };
            match runs.last_mut() {
                Some((begin, of, text))
                    if *of == colour(cell)
                        && usize::from(*begin) + text.chars().count() == usize::from(column) =>
                {
                    text.push_str(cell.contents());
                }
                _ => runs.push((column, colour(cell), cell.contents().to_owned())),
            }
        }
        for (begin, colour, text) in runs.iter().filter(|(_, _, text)| !text.trim().is_empty()) {
            let (x, y) = (usize::from(*begin) * CELL.0 + 16, usize::from(row) * CELL.1 + 30);
            let length = text.chars().count() * CELL.0;
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" fill=\"{colour}\">{text}</text>"
            )
            .expect("a String takes everything");
        }
    }
    let (row, column) = screen.cursor_position();
    let (x, y) = (usize::from(column) * CELL.0 + 16, usize::from(row) * CELL.1 + 16);
    writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"#d8dee9\" opacity=\"0.7\"/>",
        CELL.0,
        CELL.1 - 2
    )
    .expect("a String takes everything");
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// A picture without times, the day, and the port.
fn without_times(svg: &str) -> String {
    let plain = |line: &str| {
        let text = line.split_once('>').map_or(line, |(_, text)| text);
        let is_time = text.as_bytes().get(2) == Some(&b':') && text.len() < 16;
        if is_time || text.starts_with("── ") || text.contains("127.0.0.1") {
            "…".to_owned()
        } else {
            line.to_owned()
        }
    };
    svg.lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_picture_of_the_client_is_a_session() {
    let stage = Stage::set(&[]);
    stage.shell(&["--profile", "h", "join", "#lab"], "");
    stage.shell(&["join", "#lab"], "");
    let mut messi = stage.messi(&[]);
    stage.henderson_says("are you coming to the lab?");
    messi.line_end(" henderson: are you coming to the lab?");
    messi.type_keys("on my way\r");
    messi.line_end(" messi → henderson: on my way ✓");
    stage.shell(&["--profile", "h", "read", "messi", &stage.newest().to_string()], "");
    messi.line("      ✓✓ henderson has read: on my way");
    stage.shell(&["--profile", "h", "send", "#lab", "the printer works again:\n3 jobs in the queue"], "");
    messi.line("      3 jobs in the queue");
    messi.type_keys("shall I bring the ca");
    messi.draft("messi → henderson> shall I bring the ca", 0);
    stage.henderson_says("bring the cable, please");
    messi.line_end(" henderson: bring the cable, please");
    messi.draft("messi → henderson> shall I bring the ca", 0);
    let address = stage.server.address.to_string();
    let svg = draw(&messi.screen()).replace(&address, "127.0.0.1:8889");
    messi.type_keys("\u{15}\u{4}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/client.svg");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&file, &svg).expect("written");
    }
    let kept = fs::read_to_string(&file).expect("a picture");
    assert_eq!(
        without_times(&svg),
        without_times(&kept),
        "UPDATE_GENERATED=1 cargo test picture draws it anew"
    );
    stage.server.stop();
}
