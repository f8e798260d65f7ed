//! Commands on the expiry of fields.

use super::ValueReply;
use crate::base::clock::UnixMillis;
use crate::base::number::parse_i64;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::store::{FieldExpiry, HashEdit};

/// The latest expiry that a field can have: Redis keeps them in 46 bits.
const LATEST_EXPIRY: UnixMillis = UnixMillis((1 << 46) - 1);

// What HEXPIRE, HTTL and their kin report of a field.
const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;
const CONDITION_NOT_MET: i64 = 0;
const EXPIRY_CHANGED: i64 = 1;
const FIELD_REMOVED: i64 = 2;

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]` -> array of integers: 1 expiry set,
/// 0 condition not met, 2 removed because the time has passed, -2 no such field.
pub fn hexpire(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_fields(ctx, args, "hexpire", TimeForm::Seconds)
}

/// `HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]` -> array of integers: as HEXPIRE.
pub fn hpexpire(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_fields(ctx, args, "hpexpire", TimeForm::Milliseconds)
}

/// `HEXPIREAT key unix-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]` -> array of integers: as HEXPIRE.
pub fn hexpireat(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_fields(ctx, args, "hexpireat", TimeForm::UnixSeconds)
}

/// `HPEXPIREAT key unix-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]` -> array of integers: as
/// HEXPIRE.
pub fn hpexpireat(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    expire_fields(ctx, args, "hpexpireat", TimeForm::UnixMilliseconds)
}

/// `HTTL key FIELDS numfields field [field ...]` -> array of integers: seconds left, rounded up; -1 no expiry, -2 no such
/// field.
pub fn httl(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiries(ctx, args, |at, now| seconds_rounded_up(at.0 - now.0))
}

/// `HPTTL key FIELDS numfields field [field ...]` -> array of integers: milliseconds left; -1 no expiry, -2 no such field.
pub fn hpttl(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiries(ctx, args, |at, now| at.0 - now.0)
}

/// `HEXPIRETIME key FIELDS numfields field [field ...]` -> array of integers: expiry in Unix seconds, rounded up; -1 no
/// expiry, -2 no such field.
pub fn hexpiretime(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiries(ctx, args, |at, _| seconds_rounded_up(at.0))
}

/// `HPEXPIRETIME key FIELDS numfields field [field ...]` -> array of integers: expiry in Unix milliseconds; -1 no expiry,
/// -2 no such field.
pub fn hpexpiretime(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    report_expiries(ctx, args, |at, _| at.0)
}

/// `HPERSIST key FIELDS numfields field [field ...]` -> array of integers: 1 expiry taken away, -1 there was none, -2 no
/// such field.
pub fn hpersist(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let fields = super::trailing_fields(args)?;
    ctx.reply.array(fields.len());
    ctx.store.update(key, |hash| {
        for field in fields {
            ctx.reply.integer(match hash.field_expiry(field) {
                FieldExpiry::NoField => NO_FIELD,
                FieldExpiry::Persistent => NO_EXPIRY,
                FieldExpiry::At(_) => {
                    hash.persist_field(field);
                    EXPIRY_CHANGED
                }
            });
        }
    });
    Ok(())
}

/// `HGETEX key [EX seconds | PX milliseconds | EXAT unix-seconds | PXAT unix-milliseconds | PERSIST] FIELDS numfields
/// field [field ...]` -> array: the values, null for each missing field; the expiry of those found is changed.
///
/// A time that has passed removes the field after its value has been read.
pub fn hgetex(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let options = FieldOptions::parse(args, FieldCommand::GetEx, ctx.now)?;
    ctx.reply.array(options.fields.count);
    let Some(expiry) = options.expiry else {
        // To Redis this is a write also if it changes nothing: a missing key is neither counted nor notified.
        ctx.store.update(key, |hash| {
            for field in options.fields.iter() {
                ctx.reply.value_or_null(hash.get(field));
            }
        });
        return Ok(());
    };
    ctx.store.update(key, |hash| {
        hash.note_expiry_command();
        for field in options.fields.iter() {
            let value = hash.get(field);
            let found = value.is_some();
            ctx.reply.value_or_null(value);
            if found {
                change_expiry(hash, field, expiry);
            }
        }
    });
    Ok(())
}

/// `HSETEX key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-seconds | PXAT unix-milliseconds |
/// KEEPTTL] FIELDS numfields field value [field value ...]` -> integer: 1 if all fields have been set, 0 if a condition
/// was not met and nothing is changed.
///
/// `NX` and `XX` ask for the key to be missing or to exist (Valkey 9.1), `FNX` and `FXX` the same of all the fields.
pub fn hsetex(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let options = FieldOptions::parse(args, FieldCommand::SetEx, ctx.now)?;
    let done = ctx.store.update(key, |hash| {
        let met = options.conditions_met(hash);
        if met {
            hash.announce_pairs(options.fields.count);
            if matches!(options.expiry, Some(Expiry::At(_))) {
                hash.note_expiry_command();
            }
            for (field, value) in options.fields.pairs() {
                set_with_expiry(hash, field, value, options.expiry);
            }
        }
        met
    });
    ctx.reply.integer(i64::from(done));
    Ok(())
}

fn expire_fields(ctx: &mut Context<'_>, args: &mut Args<'_>, command: &'static str, form: TimeForm) -> Outcome {
    let key = args.next_key()?;
    let at = form.parse(args.next_bytes()?, command, ctx.now)?;
    let (condition, fields) = parse_condition_and_fields(args)?;
    ctx.reply.array(fields.count);
    ctx.store.update(key, |hash| {
        hash.note_expiry_command();
        for field in fields.iter() {
            ctx.reply.integer(expire_field(hash, field, at, condition));
        }
    });
    Ok(())
}

fn expire_field(hash: &mut HashEdit<'_>, field: &[u8], at: UnixMillis, condition: Option<Condition>) -> i64 {
    let current = match hash.field_expiry(field) {
        FieldExpiry::NoField => return NO_FIELD,
        FieldExpiry::Persistent => None,
        FieldExpiry::At(current) => Some(current),
    };
    if !condition.is_none_or(|condition| condition.allows(current, at)) {
        return CONDITION_NOT_MET;
    }
    if at <= hash.now() {
        hash.expire_at_once(field);
        return FIELD_REMOVED;
    }
    hash.set_field_expiry(field, at);
    EXPIRY_CHANGED
}

fn report_expiries(
    ctx: &mut Context<'_>,
    args: &mut Args<'_>,
    report: fn(at: UnixMillis, now: UnixMillis) -> i64,
) -> Outcome {
    let key = args.next_key()?;
    let fields = super::trailing_fields(args).inspect_err(|_| {
        // Redis looks the key up first, which may report that it is missing.
        ctx.store.view(key, |_| ());
    })?;
    ctx.reply.array(fields.len());
    ctx.store.view(key, |hash| {
        for field in fields {
            ctx.reply.integer(match hash.field_expiry(field) {
                FieldExpiry::NoField => NO_FIELD,
                FieldExpiry::Persistent => NO_EXPIRY,
                FieldExpiry::At(at) => report(at, hash.now()),
            });
        }
    });
    Ok(())
}

fn seconds_rounded_up(milliseconds: i64) -> i64 {
    milliseconds.saturating_add(999) / 1000
}

/// Changes the expiry of a field that exists.
fn change_expiry(hash: &mut HashEdit<'_>, field: &[u8], expiry: Expiry) {
    match expiry {
        Expiry::At(at) if at <= hash.now() => {
            hash.expire_at_once(field);
        }
        Expiry::At(at) => {
            hash.set_field_expiry(field, at);
        }
        Expiry::Persist => {
            hash.persist_field(field);
        }
        Expiry::Keep => {}
    }
}

fn set_with_expiry(hash: &mut HashEdit<'_>, field: &[u8], value: &[u8], expiry: Option<Expiry>) {
    match expiry {
        Some(Expiry::Keep) => {
            hash.set_keeping_expiry(field, value);
        }
        // Set first: a long value changes the encoding even if it does not stay, as in Redis.
        Some(Expiry::At(at)) if at <= hash.now() => {
            hash.set(field, value);
            hash.expire_at_once(field);
        }
        Some(Expiry::At(at)) => {
            hash.set(field, value);
            hash.set_field_expiry(field, at);
        }
        Some(Expiry::Persist) | None => {
            hash.set(field, value);
        }
    }
}

/// In which form a time stands in a command.
#[derive(Debug, Clone, Copy)]
enum TimeForm {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

impl TimeForm {
    /// The form that an option word announces.
    fn of_word(word: &[u8]) -> Option<Self> {
        const WORDS: [(&str, TimeForm); 4] = [
            ("EX", TimeForm::Seconds),
            ("PX", TimeForm::Milliseconds),
            ("EXAT", TimeForm::UnixSeconds),
            ("PXAT", TimeForm::UnixMilliseconds),
        ];
        WORDS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, form)| form)
    }

    /// The point in time that `text` means.
    fn parse(self, text: &[u8], command: &'static str, now: UnixMillis) -> Result<UnixMillis, CommandError> {
        let time = parse_i64(text).ok_or(CommandError::NotInteger)?;
        if time < 0 {
            return Err(CommandError::Fixed("ERR invalid expire time, must be >= 0"));
        }
        let (unit, start) = match self {
            Self::Seconds => (1000, now.0),
            Self::Milliseconds => (1, now.0),
            Self::UnixSeconds => (1000, 0),
            Self::UnixMilliseconds => (1, 0),
        };
        time.checked_mul(unit)
            .and_then(|milliseconds| milliseconds.checked_add(start))
            .map(UnixMillis)
            .filter(|&at| at <= LATEST_EXPIRY)
            .ok_or(CommandError::InvalidExpire(command))
    }
}

/// When HEXPIRE may change a field's expiry. A field without one counts as expiring never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    HasNone,
    HasOne,
    Later,
    Earlier,
}

impl Condition {
    fn of_word(word: &[u8]) -> Option<Self> {
        const WORDS: [(&str, Condition); 4] = [
            ("NX", Condition::HasNone),
            ("XX", Condition::HasOne),
            ("GT", Condition::Later),
            ("LT", Condition::Earlier),
        ];
        WORDS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, condition)| condition)
    }

    fn allows(self, current: Option<UnixMillis>, at: UnixMillis) -> bool {
        match self {
            Self::HasNone => current.is_none(),
            Self::HasOne => current.is_some(),
            Self::Later => current.is_some_and(|current| at > current),
            Self::Earlier => current.is_none_or(|current| at < current),
        }
    }
}

/// Parses `[NX | XX | GT | LT] FIELDS numfields field [field ...]` in any order.
fn parse_condition_and_fields<'a>(args: &mut Args<'a>) -> Result<(Option<Condition>, FieldList<'a>), CommandError> {
    let (mut condition, mut conflict, mut fields) = (None, false, None);
    while let Some(word) = args.next_optional() {
        if word.eq_ignore_ascii_case(b"FIELDS") {
            FieldList::check_first(fields.as_ref())?;
            if args.remaining() < 2 {
                return Err(CommandError::Fixed("ERR FIELDS requires at least numfields and one field argument"));
            }
            let count = FieldList::parse_count(args.next_bytes()?)
                .ok_or(CommandError::Fixed("ERR Parameter `numFields` should be greater than 0"))?;
            fields = Some(FieldList::take(args, count, 1)?);
        } else if let Some(new) = Condition::of_word(word) {
            conflict |= condition.is_some_and(|old| old != new);
            condition = Some(new);
        } else {
            return Err(unknown_argument(word));
        }
    }
    let fields = fields.ok_or(MISSING_FIELDS)?;
    if conflict {
        return Err(CommandError::Fixed("ERR Multiple condition flags specified"));
    }
    Ok((condition, fields))
}

const MISSING_FIELDS: CommandError = CommandError::Fixed("ERR missing FIELDS argument");

fn unknown_argument(word: &[u8]) -> CommandError {
    CommandError::quoting("ERR unknown argument: ", word, "")
}

/// The elements of a FIELDS list, which may stand among options.
#[derive(Debug, Clone, Copy)]
struct FieldList<'a> {
    args: Args<'a>,
    first: usize,
    /// Number of fields, each with its value in HSETEX.
    count: usize,
}

impl<'a> FieldList<'a> {
    fn check_first(earlier: Option<&Self>) -> Result<(), CommandError> {
        match earlier {
            None => Ok(()),
            Some(_) => Err(CommandError::Fixed("ERR FIELDS keyword specified multiple times")),
        }
    }

    /// A number of fields as Redis limits it.
    fn parse_count(text: &[u8]) -> Option<usize> {
        parse_i64(text).and_then(|count| i32::try_from(count).ok()).filter(|&count| count > 0)?.try_into().ok()
    }

    /// Takes `count` fields of `width` arguments each.
    fn take(args: &mut Args<'a>, count: usize, width: usize) -> Result<Self, CommandError> {
        let taken = count.saturating_mul(width);
        if taken > args.remaining() {
            return Err(CommandError::Fixed("ERR wrong number of arguments"));
        }
        let list = Self { args: *args, first: args.position(), count };
        for _ in 0..taken {
            args.next_bytes()?;
        }
        Ok(list)
    }

    fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        (self.first..self.first + self.count).filter_map(move |index| self.args.at(index))
    }

    fn pairs(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        (self.first..self.first + 2 * self.count)
            .step_by(2)
            .filter_map(move |index| Some((self.args.at(index)?, self.args.at(index + 1)?)))
    }
}

/// What becomes of the expiry of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    At(UnixMillis),
    Keep,
    Persist,
}

/// What must hold of the key or of all fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Missing,
    Existing,
}

/// The commands that share [`FieldOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldCommand {
    GetEx,
    SetEx,
}

impl FieldCommand {
    fn name(self) -> &'static str {
        match self {
            Self::GetEx => "hgetex",
            Self::SetEx => "hsetex",
        }
    }

    /// Arguments per field.
    fn width(self) -> usize {
        match self {
            Self::GetEx => 1,
            Self::SetEx => 2,
        }
    }

    /// The choice that only the other command has.
    fn foreign_expiry(self) -> Expiry {
        match self {
            Self::GetEx => Expiry::Keep,
            Self::SetEx => Expiry::Persist,
        }
    }

    fn several_expiries(self) -> CommandError {
        CommandError::Fixed(match self {
            Self::GetEx => "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
            Self::SetEx => "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        })
    }
}

/// The options of HGETEX and HSETEX.
#[derive(Debug)]
struct FieldOptions<'a> {
    expiry: Option<Expiry>,
    field_presence: Option<Presence>,
    key_presence: Option<Presence>,
    fields: FieldList<'a>,
}

impl<'a> FieldOptions<'a> {
    /// Parses options and FIELDS in any order. As in Redis both commands know the words of both, and refuse the ones that
    /// are not theirs at the end.
    fn parse(args: &mut Args<'a>, command: FieldCommand, now: UnixMillis) -> Result<Self, CommandError> {
        let (mut expiry, mut field_presence, mut key_presence, mut fields) = (None, None, None, None);
        let mut foreign = false;
        while let Some(word) = args.next_optional() {
            if word.eq_ignore_ascii_case(b"FIELDS") {
                FieldList::check_first(fields.as_ref())?;
                fields = Some(parse_fields(args, command)?);
            } else if let Some(choice) = ExpiryWord::of(word) {
                if expiry.is_some_and(|earlier| choice.conflicts_with(earlier)) {
                    return Err(command.several_expiries());
                }
                let choice = choice.parse(args, command.name(), now)?;
                foreign |= choice == command.foreign_expiry();
                expiry = Some(choice);
            } else if let Some(presence) = presence_of(word, ["FNX", "FXX"]) {
                foreign |= command == FieldCommand::GetEx;
                if field_presence.replace(presence).is_some() {
                    return Err(CommandError::Fixed("ERR Only one of FXX or FNX arguments can be specified"));
                }
            } else if let Some(presence) = presence_of(word, ["NX", "XX"]).filter(|_| command == FieldCommand::SetEx) {
                if key_presence.replace(presence).is_some_and(|earlier| earlier != presence) {
                    return Err(CommandError::Syntax);
                }
            } else {
                return Err(unknown_argument(word));
            }
        }
        let fields = fields.ok_or(MISSING_FIELDS)?;
        if foreign {
            return Err(CommandError::Fixed("ERR unknown argument"));
        }
        Ok(Self { expiry, field_presence, key_presence, fields })
    }

    fn conditions_met(&self, hash: &HashEdit<'_>) -> bool {
        let key_met = match self.key_presence {
            None => true,
            Some(Presence::Missing) => hash.is_missing(),
            Some(Presence::Existing) => !hash.is_missing(),
        };
        let field_met = |field: &[u8]| match self.field_presence {
            None => true,
            Some(Presence::Missing) => !hash.contains(field),
            Some(Presence::Existing) => hash.contains(field),
        };
        key_met && (self.field_presence.is_none() || self.fields.pairs().all(|(field, _)| field_met(field)))
    }
}

fn parse_fields<'a>(args: &mut Args<'a>, command: FieldCommand) -> Result<FieldList<'a>, CommandError> {
    let Some(count) = args.next_optional() else {
        return Err(CommandError::WrongArity(command.name().into()));
    };
    let count = FieldList::parse_count(count).ok_or(CommandError::Fixed("ERR invalid number of fields"))?;
    FieldList::take(args, count, command.width())
}

/// A word that says what becomes of the expiry.
#[derive(Debug, Clone, Copy)]
enum ExpiryWord {
    Time(TimeForm),
    Other(Expiry),
}

impl ExpiryWord {
    fn of(word: &[u8]) -> Option<Self> {
        if word.eq_ignore_ascii_case(b"KEEPTTL") {
            Some(Self::Other(Expiry::Keep))
        } else if word.eq_ignore_ascii_case(b"PERSIST") {
            Some(Self::Other(Expiry::Persist))
        } else {
            TimeForm::of_word(word).map(Self::Time)
        }
    }

    /// KEEPTTL and PERSIST go together as far as Redis parses; one of them is foreign to the command then.
    fn conflicts_with(self, earlier: Expiry) -> bool {
        match self {
            Self::Time(_) => true,
            Self::Other(expiry) => expiry == earlier || matches!(earlier, Expiry::At(_)),
        }
    }

    fn parse(self, args: &mut Args<'_>, command: &'static str, now: UnixMillis) -> Result<Expiry, CommandError> {
        match self {
            Self::Other(expiry) => Ok(expiry),
            Self::Time(form) => {
                let time = args.next_optional().ok_or(CommandError::Fixed("ERR missing expire time"))?;
                form.parse(time, command, now).map(Expiry::At)
            }
        }
    }
}

/// Which of the words for "missing" and "existing" `word` is.
fn presence_of(word: &[u8], [missing, existing]: [&str; 2]) -> Option<Presence> {
    if word.eq_ignore_ascii_case(missing.as_bytes()) {
        Some(Presence::Missing)
    } else {
        word.eq_ignore_ascii_case(existing.as_bytes()).then_some(Presence::Existing)
    }
}
