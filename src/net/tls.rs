//! TLS: what clients are accepted with, built from the `tls-*` parameters by rustls, with ring as its only provider.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::{cipher_suite as suite, default_provider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    DEFAULT_VERSIONS, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::config::Config;

/// Sessions remembered at most: each takes a few hundred bytes.
const MOST_SESSIONS: usize = 1 << 20;

/// The cipher suites there are, those of TLS 1.3 first, with the names that OpenSSL, and so `tls-ciphers` and `tls-ciphersuites`, have for them.
const SUITES: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// What clients are accepted with; the error says which parameter is wrong, and why.
pub fn server_config(config: &Config) -> Result<Arc<ServerConfig>, String> {
    let (chain, key) = certificate(config)?;
    let provider = CryptoProvider {
        cipher_suites: suites(&config.tls_ciphers(), &config.tls_ciphersuites())?,
        ..default_provider()
    };
    let provider = Arc::new(provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(&config.tls_protocols())?)
        .map_err(|error| format!("Failed to configure ciphers: {error}"))?;
    let builder = match client_verifier(config, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("Failed to load private key: {}: {error}", config.tls_key_file()))?;
    server.ignore_client_order = config.tls_prefer_server_ciphers();
    if config.tls_session_caching() {
        let size = usize::try_from(config.tls_session_cache_size()).unwrap_or(0);
        // As in OpenSSL, 0 is no limit; there is one all the same.
        let size = if size == 0 { MOST_SESSIONS } else { size.min(MOST_SESSIONS) };
        server.session_storage = ServerSessionMemoryCache::new(size);
    } else {
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(Arc::new(server))
}

fn certificate(config: &Config) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let (certificate, key) = (config.tls_cert_file(), config.tls_key_file());
    if certificate.is_empty() {
        return Err("No tls-cert-file configured!".to_owned());
    }
    if key.is_empty() {
        return Err("No tls-key-file configured!".to_owned());
    }
    let chain = certificates(Path::new(&certificate)).map_err(|error| failed("certificate", &certificate, error))?;
    let key_read = std::fs::read(&key).map_err(|error| failed("private key", &key, error))?;
    let key_read = private_key(&key_read, &config.tls_key_file_pass());
    Ok((chain, key_read.map_err(|error| failed("private key", &key, error))?))
}

/// The private key in a PEM file, which `password` opens if it is encrypted (PKCS #8, as OpenSSL writes it since 1.0).
fn private_key(pem: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let is_encrypted = memchr::memmem::find(pem, b"BEGIN ENCRYPTED PRIVATE KEY").is_some();
    if !is_encrypted {
        return PrivateKeyDer::from_pem_slice(pem).map_err(|error| error.to_string());
    }
    if password.is_empty() {
        return Err("it is encrypted, and there is no tls-key-file-pass".to_owned());
    }
    let text = String::from_utf8_lossy(pem);
    let (_, sealed) = SecretDocument::from_pem(&text).map_err(|error| error.to_string())?;
    let sealed = EncryptedPrivateKeyInfo::try_from(sealed.as_bytes()).map_err(|error| error.to_string())?;
    match sealed.decrypt(password) {
        Ok(key) => Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into())),
        Err(error) => Err(format!("wrong tls-key-file-pass, or an encryption that is not known: {error}")),
    }
}

fn failed(what: &str, path: &str, error: impl Display) -> String {
    format!("Failed to load {what}: {path}: {error}")
}

/// The certificates in a file, which must hold one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// Who judges the certificates of clients, if `tls-auth-clients` wants them.
fn client_verifier(
    config: &Config,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let wanted = config.tls_auth_clients();
    if wanted == "no" {
        return Ok(None);
    }
    let (file, folder) = (config.tls_ca_cert_file(), config.tls_ca_cert_dir());
    if file.is_empty() && folder.is_empty() {
        return Err(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or \
                    tls-auth-clients are enabled!"
                .to_owned(),
        );
    }
    let mut roots = RootCertStore::empty();
    if !file.is_empty() {
        for certificate in certificates(Path::new(&file)).map_err(|error| failed("CA certificate(s)", &file, error))? {
            roots.add(certificate).map_err(|error| failed("CA certificate(s)", &file, error))?;
        }
    }
    if !folder.is_empty() {
        let entries = std::fs::read_dir(&folder).map_err(|error| failed("CA certificate(s)", &folder, error))?;
        // What else lies in the folder does no harm.
        for found in entries.flatten().filter_map(|entry| certificates(&entry.path()).ok()) {
            roots.add_parsable_certificates(found);
        }
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if wanted == "optional" { builder.allow_unauthenticated() } else { builder };
    builder.build().map(Some).map_err(|error| format!("Failed to configure CA certificate(s): {error}"))
}

/// The first common name (CN) of whom the first of these certificates is for, as `tls-auth-clients-user CN` wants it: what C
/// would see of 255 bytes.
pub fn common_name(certificates: Option<&[CertificateDer<'static>]>) -> Option<Vec<u8>> {
    const LONGEST: usize = 255;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificates?.first()?).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_slice();
    let name = name.get(..LONGEST).unwrap_or(name);
    name.split(|&byte| byte == 0).next().filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
}

/// `tls-protocols`. Versions before 1.2 are known, and not spoken.
fn versions(names: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    for name in names.split_whitespace() {
        match name.to_ascii_lowercase().as_str() {
            "tlsv1.3" => versions.push(&TLS13),
            "tlsv1.2" => versions.push(&TLS12),
            "tlsv1" | "tlsv1.1" => tracing::warn!(protocol = name, "not supported, left out of tls-protocols"),
            _ => {
                return Err("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and \
                            'TLSv1.3'."
                    .to_owned());
            }
        }
    }
    match (names.trim(), versions.is_empty()) {
        ("", _) => Ok(DEFAULT_VERSIONS.to_vec()),
        (_, true) => Err("Invalid tls-protocols specified. TLSv1.2 and TLSv1.3 are supported.".to_owned()),
        (_, false) => Ok(versions),
    }
}

/// The suites that `tls-ciphers` (TLS 1.2) and `tls-ciphersuites` (TLS 1.3) name.
fn suites(ciphers: &str, ciphersuites: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let (tls13, tls12) = SUITES.split_at(3);
    let mut suites = chosen(ciphersuites, tls13).ok_or("Failed to configure ciphersuites: none of them is known")?;
    suites.extend(chosen(ciphers, tls12).ok_or("Failed to configure ciphers: none of them is known")?);
    Ok(suites)
}

/// The suites that a list names, in its order; all if it is empty, or has one of OpenSSL's words for many
/// (`DEFAULT`, `HIGH:!aNULL`). Names that are not known are passed over, as in OpenSSL; none if nothing is left.
fn chosen(list: &str, known: &[(&str, SupportedCipherSuite)]) -> Option<Vec<SupportedCipherSuite>> {
    let words: Vec<&str> = list.split([':', ',', ' ']).filter(|word| !word.is_empty()).collect();
    if words.is_empty() || words.iter().any(|word| ["ALL", "DEFAULT", "HIGH", "ECDHE"].contains(word)) {
        return Some(known.iter().map(|(_, suite)| *suite).collect());
    }
    let find = |word: &&str| known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, suite)| *suite);
    Some(words.iter().filter_map(find).collect()).filter(|suites: &Vec<_>| !suites.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols() {
        assert_eq!(versions("").unwrap(), DEFAULT_VERSIONS);
        assert_eq!(versions("TLSv1.3").unwrap(), [&TLS13]);
        assert_eq!(versions("tlsv1.1 TLSV1.2 TLSv1.3").unwrap(), [&TLS12, &TLS13]);
        assert!(versions("TLSv1.1").is_err());
        assert!(versions("SSLv3").unwrap_err().starts_with("Invalid tls-protocols specified"));
    }

    #[test]
    fn ciphers() {
        let count = |ciphers, ciphersuites| suites(ciphers, ciphersuites).map(|suites| suites.len());
        assert_eq!(count("", ""), Ok(9));
        assert_eq!(count("HIGH:!aNULL", "TLS_AES_128_GCM_SHA256"), Ok(7));
        assert_eq!(count("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA", ""), Ok(4));
        assert!(count("AES128-SHA", "").is_err());
        assert!(count("", "ECDHE-RSA-AES128-GCM-SHA256").is_err());
        let chosen = chosen("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384", &SUITES);
        assert_eq!(chosen.unwrap(), [suite::TLS13_CHACHA20_POLY1305_SHA256, suite::TLS13_AES_256_GCM_SHA384]);
    }
}
