//! What the log says when the server starts: what it is, what it may take, and what is wrong with its surroundings.

use std::net::{IpAddr, ToSocketAddrs};

use crate::config::Config;
use crate::services::{HASHD_VERSION, REDIS_VERSION, Services};

/// Logs the version and the limits, then warnings.
pub(super) fn show(services: &Services) {
    let config = &services.config;
    let open_files = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0, |(soft, _)| soft);
    tracing::info!(
        version = HASHD_VERSION,
        redis_version = REDIS_VERSION,
        pid = std::process::id(),
        threads = config.io_threads().max(1),
        port = config.port(),
        tls_port = config.tls_port(),
        maxclients = config.maxclients(),
        maxmemory = config.maxmemory(),
        open_files,
        "hashd starts"
    );
    let overcommit = setting_of_kernel("/proc/sys/vm/overcommit_memory");
    let backlog = setting_of_kernel("/proc/sys/net/core/somaxconn");
    warn(&problems(config, overcommit, backlog, services.acl.has_open_door()));
}

fn warn(problems: &[String]) {
    for problem in problems {
        tracing::warn!("{problem}");
    }
}

/// A number that the kernel shows as a file, if it does.
fn setting_of_kernel(path: &str) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// What an operator should know of: `overcommit` and `backlog` are the kernel's `vm.overcommit_memory` and
/// `net.core.somaxconn`; `is_open` says that the default user comes in without a password.
fn problems(config: &Config, overcommit: Option<i64>, backlog: Option<i64>, is_open: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if overcommit == Some(0) {
        problems.push(
            "Memory overcommit must be enabled! Without it, the kernel may refuse memory although there is some, and the \
             server fails. To fix this, add 'vm.overcommit_memory = 1' to /etc/sysctl.conf and reboot, or run 'sysctl \
             vm.overcommit_memory=1'."
                .to_owned(),
        );
    }
    let wanted = config.tcp_backlog();
    if let Some(backlog) = backlog
        && wanted > backlog
    {
        problems.push(format!(
            "The TCP backlog setting of {wanted} cannot be enforced because net.core.somaxconn is set to the lower value of \
             {backlog}."
        ));
    }
    let bind = config.bind();
    let listens = config.port() != 0 || config.tls_port() != 0;
    if is_open && listens && !config.protected_mode() && is_public(&bind) {
        problems.push(format!(
            "Anybody who reaches '{bind}' may read and change everything: protected-mode is off and the default user has no \
             password. Set requirepass, or bind to 127.0.0.1."
        ));
    }
    problems
}

/// Whether `bind` names an address that other machines may reach.
fn is_public(bind: &str) -> bool {
    bind.split_ascii_whitespace().any(|word| {
        let name = word.strip_prefix('-').unwrap_or(word);
        let addresses = match name.parse::<IpAddr>() {
            Ok(address) => vec![address],
            // `*` and `::*` are names of nobody.
            Err(_) => {
                (name, 0).to_socket_addrs().map_or_else(|_| Vec::new(), |found| found.map(|at| at.ip()).collect())
            }
        };
        addresses.is_empty() || addresses.iter().any(|address| !address.to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::{is_public, problems};
    use crate::config::Config;

    #[test]
    fn addresses_that_others_reach() {
        for bind in ["*", "::*", "* -::*", "0.0.0.0", "127.0.0.1 10.1.2.3", "-10.1.2.3", "::"] {
            assert!(is_public(bind), "{bind}");
        }
        for bind in ["127.0.0.1", "127.0.0.1 -::1", "127.1.2.3", "::ffff:127.0.0.1", ""] {
            assert!(!is_public(bind), "{bind}");
        }
    }

    #[test]
    fn what_is_warned_of() {
        let config = Config::default();
        config.set(&[(b"bind", b"*"), (b"protected-mode", b"yes")]).unwrap();
        let told = |overcommit, backlog, is_open| problems(&config, overcommit, backlog, is_open).join("\n");
        assert_eq!(told(Some(1), Some(511), true), "");
        assert_eq!(told(None, None, true), "");
        assert!(told(Some(0), None, false).starts_with("Memory overcommit must be enabled!"));
        assert!(told(None, Some(510), false).contains("backlog setting of 511 cannot be enforced"));
        config.set(&[(b"protected-mode", b"no")]).unwrap();
        assert!(told(None, None, true).starts_with("Anybody who reaches '*' may"));
        assert_eq!(told(None, None, false), "");
        config.set(&[(b"bind", b"127.0.0.1")]).unwrap();
        assert_eq!(told(None, None, true), "");
    }
}
