//! The categories by which ACL rules name many commands at once (`+@read`).

/// Pairs each category with its bit and its name, in Redis's order.
macro_rules! categories {
    ($($constant:ident = $bit:literal, $name:literal;)+) => {
        bitflags::bitflags! {
            /// ACL categories, as `ACL CAT` and `COMMAND INFO` name them (`@read`, `@hash`, ...).
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
            pub struct Categories: u32 {
                $(#[doc = concat!("`", $name, "`")] const $constant = 1 << $bit;)+
            }
        }

        impl Categories {
            /// All categories with their names, in the order in which Redis lists them.
            pub const NAMES: &[(Self, &str)] = &[$((Self::$constant, $name),)+];
        }
    };
}

categories! {
    KEYSPACE = 0, "@keyspace";
    READ = 1, "@read";
    WRITE = 2, "@write";
    SET = 3, "@set";
    SORTED_SET = 4, "@sortedset";
    LIST = 5, "@list";
    HASH = 6, "@hash";
    STRING = 7, "@string";
    BITMAP = 8, "@bitmap";
    HYPERLOGLOG = 9, "@hyperloglog";
    GEO = 10, "@geo";
    STREAM = 11, "@stream";
    PUBSUB = 12, "@pubsub";
    ADMIN = 13, "@admin";
    FAST = 14, "@fast";
    SLOW = 15, "@slow";
    BLOCKING = 16, "@blocking";
    DANGEROUS = 17, "@dangerous";
    CONNECTION = 18, "@connection";
    TRANSACTION = 19, "@transaction";
    SCRIPTING = 20, "@scripting";
}

impl Categories {
    /// The category called `name`, without its `@`, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        let is_it = |full: &str| full.as_bytes().get(1..).is_some_and(|known| known.eq_ignore_ascii_case(name));
        Self::NAMES.iter().find(|(_, full)| is_it(full)).map(|(category, _)| *category)
    }
}
