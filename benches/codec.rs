//! The wire format: our decoder and reply writer beside redis-protocol's, on the same bytes.
#![allow(missing_docs, reason = "made by criterion_group")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hashd::resp::decode::{DecodeLimits, Decoder};
use hashd::resp::reply::{ReplyWriter, RespVersion};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;

const HSET: &[u8] = b"*4\r\n$4\r\nHSET\r\n$9\r\nuser:1000\r\n$5\r\nemail\r\n$17\r\nalice@example.com\r\n";

fn decode(criterion: &mut Criterion) {
    let limits = DecodeLimits { max_bulk: 512 * 1024 * 1024, unauthenticated: false };
    let mut decoder = Decoder::default();
    criterion.bench_function("decode HSET: hashd", |bencher| {
        bencher.iter(|| {
            let advanced = decoder.advance(black_box(HSET), limits, 16);
            assert_eq!(advanced, Ok(()));
            assert_eq!(decoder.next(HSET).map(|(_, ranges)| ranges.len()), Some(4));
            decoder.step();
            decoder.take_consumed()
        });
    });
    criterion.bench_function("decode HSET: redis-protocol", |bencher| {
        bencher.iter(|| decode_range(black_box(HSET)).map(|decoded| decoded.map(|(_, length)| length)));
    });
}

fn encode(criterion: &mut Criterion) {
    let pairs: Vec<(String, String)> =
        (0..8).map(|index| (format!("field{index}"), format!("value of field {index}"))).collect();
    let mut reply = ReplyWriter::new(RespVersion::Resp2);
    criterion.bench_function("encode HGETALL of 8 pairs: hashd", |bencher| {
        bencher.iter(|| {
            reply.clear();
            reply.map(pairs.len());
            for (field, value) in &pairs {
                reply.bulk(field.as_bytes());
                reply.bulk(value.as_bytes());
            }
            black_box(reply.as_bytes().len())
        });
    });
    let mut buffer = bytes::BytesMut::new();
    criterion.bench_function("encode HGETALL of 8 pairs: redis-protocol", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            let bulk = |text: &String| BytesFrame::BulkString(text.clone().into_bytes().into());
            let frame = pairs.iter().flat_map(|(field, value)| [bulk(field), bulk(value)]).collect();
            extend_encode(&mut buffer, &BytesFrame::Array(frame), false).map(|_| black_box(buffer.len()))
        });
    });
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
