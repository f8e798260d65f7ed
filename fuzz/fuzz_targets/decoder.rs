//! Any bytes, in any split: the decoder never panics, and the split never changes what it decodes.
#![no_main]

use hashd::resp::decode::{DecodeLimits, Decoder, ProtocolError};
use libfuzzer_sys::fuzz_target;

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn decode(chunks: &mut dyn Iterator<Item = &[u8]>) -> Requests {
    let limits = DecodeLimits { max_bulk: 1 << 20, unauthenticated: false };
    let (mut decoder, mut buffer, mut requests) = (Decoder::default(), Vec::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.advance(&buffer, limits) {
                Ok(true) => {
                    let (bytes, ranges) = decoder.request(&buffer);
                    requests.push(ranges.iter().map(|range| range.of(bytes).to_vec()).collect());
                }
                Ok(false) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        buffer.drain(..decoder.take_consumed());
    }
    (requests, None)
}

fuzz_target!(|input: (usize, Vec<u8>)| {
    let (size, bytes) = input;
    let whole = decode(&mut std::iter::once(bytes.as_slice()));
    let parts = decode(&mut bytes.chunks(size % 64 + 1));
    assert_eq!(whole, parts);
});
