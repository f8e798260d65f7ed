//! A hash as commands see it, whatever its encoding: [`HashView`] to read, [`HashEdit`] to change.

mod edit;
pub(super) mod packed;
pub(super) mod table;
mod view;

pub use edit::{HashEdit, SetOutcome};
pub(super) use view::{Access, Body};
pub use view::{FieldExpiry, HashView};
