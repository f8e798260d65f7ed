//! A hash as commands see it, whatever its encoding: [`HashView`] to read, [`HashEdit`] to change.

mod draft;
mod edit;
pub(super) mod packed;
pub(super) mod table;
pub(super) mod template;
mod value;
mod view;
mod words;

pub(super) use edit::fits_packed;
pub use edit::{HashEdit, SetOutcome};
pub use template::{TemplateStats, TemplateUse};
pub use value::{Value, ValueText};
pub(super) use view::Access;
pub use view::{FieldExpiry, HashView};
