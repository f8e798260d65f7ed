//! `Edge` and `Log`: what commands may ask of the network and of the log, which are above them.

use std::fmt::Debug;

/// Why a parameter of the network cannot have its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The parameter.
    pub parameter: &'static str,
    /// What CONFIG SET says.
    pub why: String,
}

impl Refused {
    /// Refuses the value of `parameter`.
    pub fn new(parameter: &'static str, why: impl Into<String>) -> Self {
        Self { parameter, why: why.into() }
    }
}

/// The listeners, and what they accept clients with.
pub trait Edge: Debug + Send + Sync {
    /// Brings the listeners, the certificates and the limit of open files into line with the configuration, of which the
    /// parameters called `changed` have been set. After an error everything is as before.
    fn apply(&self, changed: &[&'static str]) -> Result<(), Refused>;
}

/// What the server logs to.
pub trait Log: Debug + Send + Sync {
    /// Logs from a value of `loglevel` on.
    fn set_level(&self, loglevel: &str);
}
