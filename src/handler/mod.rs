//! What a handler is given and what it returns; knows no particular command.

pub mod args;
pub mod context;
pub mod error;
pub mod session;
pub mod spec;

pub use args::{Args, OwnedArgs};
pub use context::Context;
pub use error::CommandError;
pub use session::Session;
pub use spec::{Acl, CommandFlags, Handler, KeySpec, Reach, Spec};

pub use crate::resp::reply::{ReplyWriter, RespVersion};

/// What every handler returns.
pub type Outcome = Result<(), CommandError>;
