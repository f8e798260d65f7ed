//! The rules of ARCHITECTURE that a text check can hold: layers, file sizes, function lengths, a script a command.

use crate::Case;
use crate::script;
use crate::server::{self, Kind};
use std::path::{Path, PathBuf};

pub const CASES: &[Case] = &[
    ("layers_point_one_way", layers),
    ("files_and_functions_stay_short", sizes),
    ("every_command_has_a_script", commands_have_scripts),
];

/// What the files of a folder may import from the crate; `base` and `config` are open to all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &["base"]),
    ("resp", &["resp"]),
    ("store", &["store"]),
    ("persist", &["persist", "store", "resp"]),
    ("services", &["persist", "replication", "store", "resp", "services"]),
    ("handler", &["services", "store", "resp", "handler"]),
    ("commands", &["commands", "handler", "store", "services"]),
    ("dispatch", &["commands", "handler", "services", "store", "resp", "dispatch"]),
    // Not the commands: it asks the gate, and reads what they read.
    ("http", &["dispatch", "handler", "services", "store", "http"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

fn layers() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let top = path.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(layer, _)| *layer == top) else { continue };
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("use crate::")) {
            let target = line.split([':', ';', ' ', '{']).next().unwrap();
            if !["base", "config"].contains(&target) && !allowed.contains(&target) {
                wrong.push(format!("{}: use crate::{line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sizes() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > 600 {
            long.push(format!("{}: {} lines", path.display(), lines.len()));
        }
        for (start, line) in lines.iter().enumerate() {
            let words = line.trim_start();
            if !words.contains("fn ") || words.starts_with("//") || !line.ends_with('{') {
                continue;
            }
            let close = format!("{}}}", &line[..line.len() - words.len()]);
            let length = lines[start..].iter().position(|line| *line == close).unwrap_or(0);
            if length > 71 {
                long.push(format!("{}:{}: a function of {length} lines", path.display(), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

fn commands_have_scripts() {
    let server = server::borrow(Kind::Hashd);
    let names = server.client().ask("COMMAND LIST");
    let scripts: Vec<String> = script::all().into_iter().map(|script| script.name).collect();
    let missing: Vec<String> = names
        .items()
        .iter()
        .map(|name| name.text())
        // Subcommands are in their container's script; a script cannot outlive SHUTDOWN, `lifecycle` has it.
        .filter(|name| name != "shutdown" && !name.contains('|'))
        .filter(|name| !scripts.iter().any(|script| script.rsplit('/').next() == Some(name)))
        .collect();
    server::give_back(server);
    assert!(missing.is_empty(), "no script for {missing:?}");
}
