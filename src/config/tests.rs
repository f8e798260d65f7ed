//! Tests of the configuration as a whole.

use super::*;

fn everything(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        b"*" => true,
        [prefix @ .., b'*'] => name.starts_with(prefix),
        _ => pattern == name,
    }
}

fn start(args: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let args = std::iter::once("hashd").chain(args.iter().copied()).map(OsString::from);
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match Config::from_command_line(args, environment) {
        Ok(Startup::Run(config)) => Ok(config),
        Ok(Startup::Print(text)) => panic!("printed {text}"),
        Err(error) => Err(error.to_string()),
    }
}

fn file(name: &str, content: &str) -> String {
    let path = std::env::temp_dir().join(format!("hashd-config-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

fn error(config: &Config, pairs: &[(&str, &str)]) -> String {
    set(config, pairs).unwrap_err()
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs).map_err(|error| String::from_utf8(error).unwrap())
}

#[test]
fn every_default_can_be_read_and_set_again() {
    let config = Config::default();
    for parameter in Parameter::ALL {
        assert!(config.read(*parameter, &default_words(*parameter)).is_ok(), "{}", parameter.row().name);
    }
    for (name, value) in config.get(&[b"*"], everything) {
        let (parameter, _) = Parameter::find(name.as_bytes()).unwrap();
        if parameter.row().access == Access::Live {
            assert_eq!(set(&config, &[(name.as_str(), &value)]), Ok(vec![]), "{name}");
        }
    }
}

#[test]
fn defaults_reach_the_accessors() {
    let config = Config::default();
    assert_eq!(config.port(), 6379);
    assert_eq!(config.hash_max_listpack_entries(), 512);
    assert_eq!(config.proto_max_bulk_len(), 512 << 20);
    assert_eq!(config.maxmemory_policy(), "noeviction");
    assert_eq!(config.output_buffer_limit(1).hard_bytes, 256 << 20);
    assert_eq!(config.bind(), "* -::*");
    assert_eq!(config.save(), "");
    assert!(config.io_threads() >= 1);
    assert!(config.lazyfree_lazy_user_del());
    assert!(config.dir().starts_with('/'));
}

#[test]
fn the_command_line_beats_the_environment_which_beats_the_file() {
    let path = file("precedence", "# comment\nport 1\nhz 20\nsave 900 1\nsave 300 10\ntimeout 5\n");
    let environment = [("HASHD_PORT", "2"), ("HASHD_HZ", "30"), ("HASHD_CLIENT_OUTPUT_BUFFER_LIMIT", "normal 1 2 3")];
    let config = start(&[&path, "--port", "3", "--bind", "127.0.0.1", "::1"], &environment).unwrap();
    assert_eq!((config.port(), config.hz(), config.timeout()), (3, 30, 5));
    assert_eq!(config.save(), "900 1 300 10");
    assert_eq!(config.bind(), "127.0.0.1 ::1");
    assert_eq!(config.output_buffer_limit(0).soft_seconds, 3);
    assert_eq!(config.file().unwrap(), Path::new(&path));
    assert_eq!(start(&[&path, "--save", ""], &[]).unwrap().save(), "");
    assert_eq!(start(&[&path, "--save", "60 1"], &[("HASHD_SAVE", "")]).unwrap().save(), "60 1");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn files_may_include_rename_and_declare_users() {
    let inner = file("inner", "threads 3\r\nREQUIREPASS \"a b\"\n");
    let outer = file("outer", &format!("include {inner}\nrename-command FLUSHALL \"\"\nuser ann on nopass\n"));
    let config = start(&[&outer], &[]).unwrap();
    assert_eq!(config.io_threads(), 3);
    assert_eq!(config.requirepass(), "a b");
    let [renaming] = config.renamed_commands() else { panic!("{:?}", config.renamed_commands()) };
    assert_eq!((renaming.command.as_slice(), renaming.target.as_slice()), (&b"FLUSHALL"[..], &b""[..]));
    assert_eq!(config.users(), [[b"ann".to_vec(), b"on".to_vec(), b"nopass".to_vec()]]);
    for path in [inner, outer] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn startup_errors_name_the_place() {
    let path = file("bad", "hz 10\n\nfoo bar\n");
    let message = start(&[&path], &[]).unwrap_err();
    assert!(message.starts_with("\n*** FATAL CONFIG FILE ERROR (hashd "), "{message}");
    assert!(message.ends_with("at line 3\n>>> 'foo bar'\nBad directive or wrong number of arguments"), "{message}");
    std::fs::remove_file(path).unwrap();
    for (args, ending) in [
        (["--port", "abc"].as_slice(), ">>> 'port \"abc\"'\nargument couldn't be parsed into an integer"),
        (&["--port"], ">>> 'port'\nwrong number of arguments"),
        (&["--port", "1", "2"], ">>> 'port \"1\" \"2\"'\nwrong number of arguments"),
        (&["--io-threads", "0"], "argument must be between 1 and 1024 inclusive"),
        (&["--nosuch", "1"], "Bad directive or wrong number of arguments"),
        (&["/nonexistent.conf"], "can't open config file '/nonexistent.conf': No such file or directory"),
    ] {
        let message = start(args, &[]).unwrap_err();
        assert!(message.ends_with(ending), "{message}");
    }
    assert!(start(&[], &[("HASHD_NOSUCH", "1")]).unwrap_err().contains("HASHD_NOSUCH=1"));
}

#[test]
fn help_and_version_are_printed() {
    let printed =
        |arg: &str| match Config::from_command_line(["hashd", arg].map(OsString::from).into_iter(), [].into_iter()) {
            Ok(Startup::Print(text)) => text,
            other => panic!("{other:?}"),
        };
    let help = printed("--help");
    for row in &ROWS {
        assert!(help.contains(&format!("--{} <VALUE>", row.name)), "{}", row.name);
    }
    assert_eq!(help, printed("-h"));
    assert!(printed("-v").starts_with("hashd v="));
}

#[test]
fn get_reports_aliases_once_and_ignores_case() {
    let config = Config::default();
    let names =
        |patterns: &[&[u8]]| config.get(patterns, everything).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&[b"HASH-MAX-ZIP*"]), ["hash-max-ziplist-entries", "hash-max-ziplist-value"]);
    assert_eq!(names(&[b"Port", b"port", b"por*"]), ["Port"]);
    assert_eq!(names(&[b"nosuch"]), [""; 0]);
    let all = names(&[b"*"]);
    assert!(all.iter().any(|name| name == "slave-read-only") && all.iter().any(|name| name == "replica-read-only"));
}

#[test]
fn set_is_all_or_nothing() {
    let config = Config::default();
    let failed = error(&config, &[("hz", "20"), ("requirepass", "x"), ("port", "99999")]);
    assert_eq!(
        failed,
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive"
    );
    assert_eq!((config.hz(), config.requirepass()), (10, String::new()));
    assert_eq!(set(&config, &[("hz", "20"), ("timeout", "0"), ("maxmemory", "1kb")]), Ok(vec!["hz", "maxmemory"]));
    assert_eq!((config.hz(), config.maxmemory()), (20, 1024));
}

#[test]
fn set_errors_are_redis_errors() {
    let config = Config::default();
    let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'";
    assert_eq!(error(&config, &[("hz", "1"), ("nosuch", "1")]), unknown);
    for (pairs, problem) in [
        ([("port", "1"), ("PORT", "2")].as_slice(), "duplicate parameter"),
        (&[("port", "0x10")], "argument couldn't be parsed into an integer"),
        (&[("port", "abc")], "argument couldn't be parsed into an integer"),
        (&[("maxmemory", "1zb")], "argument must be a memory value"),
        (&[("proto-max-bulk-len", "1")], "argument must be between 1048576 and 9223372036854775807 inclusive"),
        (&[("activerehashing", "1")], "argument must be 'yes' or 'no'"),
        (&[("databases", "1")], "can't set immutable config"),
        (&[("dir", "/")], "can't set protected config"),
        (&[("appendfsync", "always no")], "argument(s) must be one of the following: everysec, always, no"),
        (&[("cluster-announce-ip", "x")], "Cluster announce IP must be a valid IPv4 or IPv6 address"),
    ] {
        let name = pairs[0].0;
        assert_eq!(
            error(&config, pairs),
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}")
        );
    }
    // An alias and its parameter are not duplicates, and errors name the alias.
    assert!(set(&config, &[("hash-max-ziplist-entries", "5"), ("hash-max-listpack-entries", "6")]).is_ok());
    assert!(error(&config, &[("hash-max-ziplist-entries", "x")]).contains("'hash-max-ziplist-entries'"));
}

#[test]
fn protected_parameters_open_to_local_clients() {
    let config = start(&["--enable-protected-configs", "local"], &[]).unwrap();
    let pairs: [(&[u8], &[u8]); 1] = [(b"dbfilename", b"x.rdb")];
    assert!(config.set_from(&pairs, Origin::Remote).is_err());
    let change = config.set_from(&pairs, Origin::Local).unwrap();
    assert_eq!((change.names.as_slice(), config.dbfilename()), (&["dbfilename"][..], "x.rdb".to_owned()));
    config.undo(change);
    assert_eq!(config.dbfilename(), "dump.rdb");
}

#[test]
fn percentages_resolve_against_maxmemory() {
    let config = Config::default();
    set(&config, &[("maxmemory", "1000"), ("maxmemory-clients", "5%")]).unwrap();
    assert_eq!(config.maxmemory_clients_bytes(), 50);
    assert_eq!(config.maxmemory_clients(), "5%");
}
