//! Any pattern on any text: the answer is that of a plain matcher that keeps all the places a pattern may have come to.

use hashd::base::glob;

/// More stars than these match nothing, as in Redis.
const MOST_STARS: usize = 1000;

/// The first byte says whether case counts, the next two how long the pattern is.
pub fn run(bytes: &[u8]) {
    let [flags, low, high, rest @ ..] = bytes else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high])) % (rest.len() + 1);
    let (pattern, text) = rest.split_at(length);
    let ignores_case = flags % 2 == 1;
    let elements = parse(pattern);
    let stars = elements.iter().filter(|element| matches!(element, Element::Star)).count();
    let answer = if ignores_case { glob::matches_ignore_case(pattern, text) } else { glob::matches(pattern, text) };
    if stars <= MOST_STARS {
        let expected = reference(&elements, text, ignores_case);
        assert_eq!(answer, expected, "{} on {}", pattern.escape_ascii(), text.escape_ascii());
    }
}

enum Element {
    Star,
    Any,
    Literal(u8),
    Class { negated: bool, members: Vec<Member> },
}

enum Member {
    Escaped(u8),
    Plain(u8),
    Range(u8, u8),
}

fn parse(pattern: &[u8]) -> Vec<Element> {
    let (mut elements, mut at) = (Vec::new(), 0);
    let byte = |at: usize| pattern.get(at).copied();
    while let Some(first) = byte(at) {
        at += 1;
        let element = match (first, byte(at)) {
            (b'*', _) if matches!(elements.last(), Some(Element::Star)) => continue,
            (b'*', _) => Element::Star,
            (b'?', _) => Element::Any,
            (b'\\', Some(literal)) => {
                at += 1;
                Element::Literal(literal)
            }
            (b'[', second) => {
                let negated = second == Some(b'^');
                at += usize::from(negated);
                Element::Class { negated, members: members(pattern, &mut at) }
            }
            (literal, _) => Element::Literal(literal),
        };
        elements.push(element);
    }
    elements
}

/// What is in a class, whose end or that of the pattern `at` is moved behind.
fn members(pattern: &[u8], at: &mut usize) -> Vec<Member> {
    let mut members = Vec::new();
    while let Some(&first) = pattern.get(*at) {
        let (second, third) = (pattern.get(*at + 1).copied(), pattern.get(*at + 2).copied());
        let (member, length) = match (first, second, third) {
            (b'\\', Some(literal), _) => (Member::Escaped(literal), 2),
            (b']', _, _) => {
                *at += 1;
                break;
            }
            (from, Some(b'-'), Some(to)) => (Member::Range(from, to), 3),
            (literal, _, _) => (Member::Plain(literal), 1),
        };
        members.push(member);
        *at += length;
    }
    members
}

fn reference(elements: &[Element], text: &[u8], ignores_case: bool) -> bool {
    // Not even a star matches an empty text.
    if text.is_empty() {
        return elements.is_empty();
    }
    let fold = |byte: u8| if ignores_case { byte.to_ascii_lowercase() } else { byte };
    let mut places = vec![false; text.len() + 1];
    places[0] = true;
    for element in elements {
        let mut next = vec![false; text.len() + 1];
        let mut was_there = false;
        for (place, &is_there) in places.iter().enumerate() {
            was_there |= is_there;
            match (element, text.get(place)) {
                (Element::Star, _) => next[place] = was_there,
                (_, Some(&byte)) if is_there => next[place + 1] = fits(element, byte, fold),
                _ => {}
            }
        }
        places = next;
    }
    places[text.len()]
}

fn fits(element: &Element, byte: u8, fold: impl Fn(u8) -> u8) -> bool {
    match element {
        Element::Star | Element::Any => true,
        Element::Literal(literal) => fold(*literal) == fold(byte),
        Element::Class { negated, members } => {
            let is_in = |member: &Member| match *member {
                Member::Escaped(literal) => literal == byte,
                Member::Plain(literal) => fold(literal) == fold(byte),
                Member::Range(from, to) => {
                    let (from, to) = if from as i8 > to as i8 { (to, from) } else { (from, to) };
                    (fold(from) as i8..=fold(to) as i8).contains(&(fold(byte) as i8))
                }
            };
            members.iter().any(is_in) != *negated
        }
    }
}
