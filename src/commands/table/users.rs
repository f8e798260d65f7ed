//! Rows of the subcommands of ACL.

use super::row::{Row, other};
use crate::commands::acl;
use crate::handler::CommandFlags;

pub(super) const ACL_CAT: Row = other("acl|cat", -2, acl::cat).any_state().noscript().server().doc(
    "6.0.0",
    "O(1) since the categories and commands are a fixed set.",
    "Lists the ACL categories, or the commands inside a category.",
    "[category]",
);
pub(super) const ACL_DEL_USER: Row = other("acl|deluser", -3, acl::deluser)
    .any_state()
    .admin()
    .noscript()
    .server()
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .doc(
        "6.0.0",
        "O(1) amortized time considering the typical user.",
        "Deletes ACL users, and terminates their connections.",
        "username [username ...]",
    );
pub(super) const ACL_DRY_RUN: Row = other("acl|dryrun", -4, acl::dryrun).any_state().admin().noscript().server().doc(
    "7.0.0",
    "O(1).",
    "Simulates the execution of a command by a user, without executing the command.",
    "username command [arg [arg ...]]",
);
pub(super) const ACL_GEN_PASS: Row = other("acl|genpass", -2, acl::genpass).any_state().noscript().server().doc(
    "6.0.0",
    "O(1)",
    "Generates a pseudorandom, secure password that can be used to identify ACL users.",
    "[bits]",
);
pub(super) const ACL_GET_USER: Row = other("acl|getuser", 3, acl::getuser).any_state().admin().noscript().server().doc(
    "6.0.0",
    "O(N). Where N is the number of password, command and pattern rules that the user has.",
    "Lists the ACL rules of a user.",
    "username",
);
pub(super) const ACL_HELP: Row = other("acl|help", 2, acl::help).any_state().server().doc(
    "6.0.0",
    "O(1)",
    "Returns helpful text about the different subcommands.",
    "",
);
pub(super) const ACL_LIST: Row = other("acl|list", 2, acl::list).any_state().admin().noscript().server().doc(
    "6.0.0",
    "O(N). Where N is the number of configured users.",
    "Dumps the effective rules in ACL file format.",
    "",
);
pub(super) const ACL_LOAD: Row =
    other("acl|load", 2, acl::load).any_state().admin().noscript().server().flag(CommandFlags::FILES).doc(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "Reloads the rules from the configured ACL file.",
        "",
    );
pub(super) const ACL_LOG: Row = other("acl|log", -2, acl::log).any_state().admin().noscript().server().doc(
    "6.0.0",
    "O(N) with N being the number of entries shown.",
    "Lists recent security events generated due to ACL rules.",
    "[count | RESET]=operation",
);
pub(super) const ACL_SAVE: Row = other("acl|save", 2, acl::save)
    .any_state()
    .admin()
    .noscript()
    .server()
    .flag(CommandFlags::FILES)
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .doc(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "Saves the effective ACL rules in the configured ACL file.",
        "",
    );
pub(super) const ACL_SET_USER: Row = other("acl|setuser", -3, acl::setuser)
    .any_state()
    .admin()
    .noscript()
    .server()
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .doc(
        "6.0.0",
        "O(N). Where N is the number of rules provided.",
        "Creates and modifies an ACL user and its rules.",
        "username [rule [rule ...]]",
    );
pub(super) const ACL_USERS: Row = other("acl|users", 2, acl::users).any_state().admin().noscript().server().doc(
    "6.0.0",
    "O(N). Where N is the number of configured users.",
    "Lists all ACL users.",
    "",
);
pub(super) const ACL_WHO_AM_I: Row = other("acl|whoami", 2, acl::whoami).any_state().noscript().server().doc(
    "6.0.0",
    "O(1)",
    "Returns the authenticated username of the current connection.",
    "",
);
