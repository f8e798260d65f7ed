//! A small scanner over raw RESP2 and RESP3 bytes: where one reply ends, and how it reads as one line of text.
//! It is strict on purpose (no leading zeros, no plus signs), so that two replies that render alike are equal bytes.

/// The length of the first complete reply in `bytes`: `Ok(None)` when more bytes are needed, `Err` for what is not RESP.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    let mut pending = 1_usize;
    while pending > 0 {
        let Some(line) = line_at(bytes, at) else { return Ok(None) };
        let Some((&kind, rest)) = line.split_first() else { return Err(format!("empty line at byte {at}")) };
        at += line.len() + 2;
        pending -= 1;
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            b'$' | b'=' | b'!' => {
                let len = length(rest)?;
                if len >= 0 {
                    let end = at + usize::try_from(len).map_err(|e| e.to_string())?;
                    match bytes.get(end..end + 2) {
                        None => return Ok(None),
                        Some(b"\r\n") => at = end + 2,
                        Some(other) => return Err(format!("bulk string ends with {other:?}")),
                    }
                }
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let len = length(rest)?;
                if len > 0 {
                    let count = usize::try_from(len).map_err(|e| e.to_string())?;
                    // An attribute is followed by the reply it belongs to.
                    pending += if kind == b'%' { count * 2 } else { count } + usize::from(kind == b'|') * (count + 1);
                }
            }
            other => return Err(format!("unknown reply type {:?} at byte {at}", other as char)),
        }
    }
    Ok(Some(at))
}

/// One reply as text: `+OK`, `-ERR text`, `:1`, `"bulk"`, `nil$`, `nil*`, `_`, `[a, b]`, `{k: v}`, `~[..]`, `>[..]`.
pub fn render(bytes: &[u8]) -> String {
    render_with(bytes, Order::AsSent)
}

/// Whether the elements of the outermost aggregate mean something by their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Show them as they came.
    AsSent,
    /// Sort the elements, as for KEYS.
    Sorted,
    /// Sort neighbouring pairs, as for HGETALL in RESP2.
    SortedPairs,
    /// A cursor and a flat list, as for SCAN; the list is sorted.
    SortedSecond,
    /// As `SortedSecond`, but by pairs, as for HSCAN.
    SortedSecondPairs,
}

/// As `render`, with unordered replies brought into an order.
pub fn render_with(bytes: &[u8], order: Order) -> String {
    let mut at = 0;
    render_at(bytes, &mut at, order, true)
}

fn render_at(bytes: &[u8], at: &mut usize, order: Order, top: bool) -> String {
    let line = line_at(bytes, *at).unwrap_or_default();
    let Some((&kind, rest)) = line.split_first() else { return "<cut off>".into() };
    *at += line.len() + 2;
    let quote_plain = |sign: char| {
        if top { format!("{sign}{}", escape(rest, false)) } else { format!("{sign}\"{}\"", escape(rest, true)) }
    };
    match kind {
        b'+' => quote_plain('+'),
        b'-' => quote_plain('-'),
        b'$' | b'=' | b'!' => {
            let len = length(rest).unwrap_or(-1);
            let Ok(len) = usize::try_from(len) else { return "nil$".into() };
            let data = bytes.get(*at..*at + len).unwrap_or_default();
            *at += len + 2;
            let sign = if kind == b'$' { String::new() } else { (kind as char).to_string() };
            format!("{sign}\"{}\"", escape(data, true))
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let Ok(count) = usize::try_from(length(rest).unwrap_or(-1)) else { return format!("nil{}", kind as char) };
            let inner = |index: usize| match (order, index) {
                (Order::SortedSecond, 1) => Order::Sorted,
                (Order::SortedSecondPairs, 1) => Order::SortedPairs,
                _ => Order::AsSent,
            };
            let is_map = kind == b'%' || kind == b'|';
            let total = if is_map { count * 2 } else { count };
            let mut items: Vec<String> = (0..total).map(|i| render_at(bytes, at, inner(i), false)).collect();
            let nested = items.first().is_some_and(|item| item.starts_with('['));
            if is_map || (order == Order::SortedPairs && total.is_multiple_of(2) && !nested) {
                let joiner = if is_map { ": " } else { ", " };
                items = items.chunks(2).map(|pair| pair.join(joiner)).collect();
            }
            if matches!(order, Order::Sorted | Order::SortedPairs) {
                items.sort();
            }
            let body = items.join(", ");
            match kind {
                b'*' => format!("[{body}]"),
                b'%' => format!("{{{body}}}"),
                other => format!("{}[{body}]", other as char),
            }
        }
        _ => escape(line, false),
    }
}

/// Bytes as readable text: printable ASCII stays, everything else becomes an escape as redis-cli reads it.
pub fn escape(bytes: &[u8], quotes: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'"' if quotes => text.push_str("\\\""),
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(byte as char),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text
}

fn line_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    rest.get(..end)
}

fn length(digits: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(digits).map_err(|e| e.to_string())?;
    let number: i64 = text.parse().map_err(|_| format!("bad length {text:?}"))?;
    if number.to_string() != text || number < -1 {
        return Err(format!("length {text:?} is not in its plain form"));
    }
    Ok(number)
}
