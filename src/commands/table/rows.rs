//! What the rows of the table become.

/// Pairs each variant of [`Command`] with its row; a container's subcommands stand in braces behind it.
macro_rules! commands {
    ($($variant:ident => $row:expr $(=> { $($sub:ident => $sub_row:expr,)+ })?;)+) => {
        /// Every command and subcommand, in the order of [`CommandId`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "each variant is named after its command")]
        pub enum Command { $($variant, $($($sub,)+)?)+ }

        /// The rows of all commands, each followed by those of its subcommands.
        const ROWS: &[Row] = &[$($row, $($($sub_row,)+)?)+];

        /// The commands that are no subcommands.
        static TABLE: &[Spec] = &[$($row.spec(const { &[$($($sub_row.spec(&[]),)+)?] }),)+];

        /// Names and ids of the commands in `TABLE`.
        const NAMES: [&str; IDS.len()] = [$($row.full_name(),)+];
        const IDS: &[CommandId] = &[$(Command::$variant.id(),)+];

        $(
            const _: () = assert!(is_named_after(stringify!($variant), $row.full_name()));
            $($(const _: () = assert!(is_named_after(stringify!($sub), $sub_row.full_name()));)+)?
        )+
    };
}

pub(super) use commands;
