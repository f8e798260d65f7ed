//! The page and what belongs to it; all of it is in the program.

use super::answer::Answer;
use super::query::Query;
use super::visitor::Visitor;

macro_rules! asset {
    ($(#[$doc:meta])* $name:ident, $media_type:literal, $file:literal) => {
        $(#[$doc])*
        pub(super) fn $name(_visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
            Ok(Answer::found($media_type, &include_bytes!(concat!("assets/", $file))[..]))
        }
    };
}

asset! {
    /// `/`
    index, "text/html; charset=utf-8", "index.html"
}
asset! {
    /// `/page.css`
    style, "text/css; charset=utf-8", "page.css"
}
asset! {
    /// `/page.js`
    script, "text/javascript; charset=utf-8", "page.js"
}
asset! {
    /// `/icon.svg`
    icon, "image/svg+xml", "icon.svg"
}
