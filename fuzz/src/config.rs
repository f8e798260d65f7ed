//! Any text as a configuration file and any words for CONFIG SET: none panics, what is refused changes nothing, and what
//! CONFIG REWRITE writes reads back to the same values and is rewritten to itself.

use hashd::base::words;
use hashd::config::{Config, Rewriting};

/// Lines that reach outside of the text, by their first word.
const READS_FILES: [&[u8]; 2] = [b"include", b"dir"];

/// Lines that CONFIG REWRITE leaves as they are, right or wrong.
const LEFT_ALONE: [&[u8]; 2] = [b"rename-command", b"loadmodule"];

pub fn run(bytes: &[u8]) {
    let text = without(bytes, &READS_FILES);
    if let Ok(config) = Config::from_text(&text) {
        assert_comes_back(&config, &text);
    }
    assert_comes_back(&Config::default(), &without(&text, &LEFT_ALONE));
    set(&text);
}

fn without(text: &[u8], names: &[&[u8]]) -> Vec<u8> {
    let is_kept = |line: &&[u8]| {
        let name = words::split(line.trim_ascii()).and_then(|words| words.into_iter().next()).unwrap_or_default();
        !names.iter().any(|unwanted| name.eq_ignore_ascii_case(unwanted))
    };
    text.split(|&byte| byte == b'\n').filter(is_kept).collect::<Vec<_>>().join(&b'\n')
}

type Everything = (Vec<(String, String)>, Vec<(Vec<u8>, Vec<u8>)>);

fn everything(config: &Config) -> Everything {
    let renamed = config.renamed_commands().iter().map(|renaming| (renaming.command.clone(), renaming.target.clone()));
    (config.get(&[b"*"], |_, _| true), renamed.collect())
}

/// That a file rewritten from this configuration gives this configuration.
fn assert_comes_back(config: &Config, text: &[u8]) {
    let rewriting = Rewriting { users: vec![b"user alice on".to_vec()], is_complete: text.len() % 2 == 1 };
    let written = config.rewritten(text, &rewriting);
    let shown = || format!("{}\n=>\n{}", text.escape_ascii(), String::from_utf8_lossy(&written));
    let again = Config::from_text(&written).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
    assert_eq!(everything(&again), everything(config), "{}", shown());
    assert_eq!(again.users(), [[b"alice".to_vec(), b"on".to_vec()]], "{}", shown());
    // But for the empty line after the last line break.
    assert_eq!(again.rewritten(&written, &rewriting).trim_ascii_end(), written.trim_ascii_end(), "{}", shown());
}

/// The lines as what follows CONFIG SET.
fn set(text: &[u8]) {
    let config = Config::default();
    let mut before = everything(&config);
    for line in text.split(|&byte| byte == b'\n') {
        let words = words::split(line).unwrap_or_default();
        let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
        let is_set = config.set(&pairs).is_ok();
        let after = everything(&config);
        if is_set {
            // What it shows now, it takes again.
            for (name, _) in pairs {
                let (_, value) = &config.get(&[name], |_, _| false)[0];
                assert_eq!(config.set(&[(name, value.as_bytes())]), Ok(Vec::new()), "{}", line.escape_ascii());
            }
        } else {
            assert_eq!(after, before, "{}", line.escape_ascii());
        }
        before = after;
    }
    assert_eq!(everything(&config), before);
}
