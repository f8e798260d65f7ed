//! Any bytes, in any split and in batches of any size: the decoder never panics, and neither changes what it decodes.

use hashd::resp::decode::{DecodeLimits, Decoder, ProtocolError};

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn decode(chunks: &mut dyn Iterator<Item = &[u8]>, most: usize) -> Requests {
    let limits = DecodeLimits { max_bulk: 1 << 20, unauthenticated: false };
    let (mut decoder, mut buffer, mut requests) = (Decoder::default(), Vec::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            if let Err(error) = decoder.advance(&buffer, limits, most) {
                return (requests, Some(error));
            }
            let Some((bytes, ranges)) = decoder.next(&buffer) else { break };
            requests.push(ranges.iter().map(|range| range.of(bytes).to_vec()).collect());
            decoder.step();
        }
        buffer.drain(..decoder.take_consumed());
    }
    (requests, None)
}

/// The first byte says how long the pieces are, the second how many requests are decoded at once.
pub fn run(bytes: &[u8]) {
    let [size, most, bytes @ ..] = bytes else { return };
    let whole = decode(&mut std::iter::once(bytes), 1);
    let parts = decode(&mut bytes.chunks(usize::from(size % 64) + 1), usize::from(most % 8) + 1);
    assert_eq!(whole, parts);
}
