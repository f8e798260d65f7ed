//! Whether a request is meant for this server: a page from elsewhere may have the name of its own site resolved to this
//! machine's address (DNS rebinding), and then ask in the name of the person who looks at it.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;

use crate::config::Config;

/// Whether the client calls this server by a name that is its own. An address cannot be rebound, so any will do.
pub(super) fn is_ours<B>(config: &Config, request: &Request<B>) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return false };
    is_own_name(config, &host) && request.uri().authority().is_none_or(|target| is_own_name(config, target))
}

fn is_own_name(config: &Config, authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    let (hosts, bind) = (config.http_hosts(), config.http_bind());
    let allowed = hosts.split([' ', ',']).any(|own| own == "*" || own.eq_ignore_ascii_case(&name));
    allowed || bind.split_whitespace().any(|word| word.trim_start_matches('-').eq_ignore_ascii_case(&name))
}

/// Whether a browser says that a page of another site asks.
pub(super) fn is_asked_by_another_site<B>(request: &Request<B>) -> bool {
    request.headers().get("sec-fetch-site").is_some_and(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(config: &Config, target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        is_ours(config, &request.body(()).unwrap())
    }

    #[test]
    fn names_and_addresses() {
        let config = Config::default();
        for own in ["localhost", "LocalHost:8080", "a.localhost", "127.0.0.1:80", "10.1.2.3", "[::1]:9", "[fe80::1]"] {
            assert!(asks(&config, "/", &[own]), "{own}");
        }
        for other in
            ["evil.example", "localhost.evil.example", "x@localhost", "127.0.0.1.evil.example", "", "a b", "::1"]
        {
            assert!(!asks(&config, "/", &[other]), "{other}");
        }
        assert!(!asks(&config, "/", &[]));
        assert!(!asks(&config, "/", &["localhost", "localhost"]));
        assert!(asks(&config, "http://localhost/metrics", &["localhost"]));
        assert!(!asks(&config, "http://evil.example/metrics", &["localhost"]));
    }

    #[test]
    fn names_that_are_configured() {
        let config = Config::default();
        config.set(&[(b"http-hosts", b"db.example,other.example")]).unwrap();
        assert!(asks(&config, "/", &["db.example:9121"]) && asks(&config, "/", &["Other.example"]));
        assert!(!asks(&config, "/", &["evil.example"]));
        config.set(&[(b"http-hosts", b"*")]).unwrap();
        assert!(asks(&config, "/", &["evil.example"]));
    }
}
