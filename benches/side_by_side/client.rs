//! A client that sends requests and reads replies without keeping them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::Outcome;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Outcome<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { replies: BufReader::with_capacity(1 << 20, stream.try_clone()?), stream })
    }

    /// Sends one request and reads its reply.
    pub(crate) fn ask<T: AsRef<str>>(&mut self, request: &[T]) -> Outcome<()> {
        self.exchange(&encode(request), 1)
    }

    /// Sends requests that are encoded already, and reads as many replies.
    pub(crate) fn exchange(&mut self, requests: &[u8], count: usize) -> Outcome<()> {
        self.stream.write_all(requests)?;
        (0..count).try_for_each(|_| self.skip_reply())
    }

    /// Sends many requests, `batch` at a time, and reads their replies.
    pub(crate) fn pipeline(&mut self, requests: impl Iterator<Item = Vec<String>>, batch: usize) -> Outcome<()> {
        let (mut bytes, mut waiting) = (Vec::new(), 0);
        for request in requests {
            bytes.extend(encode(&request));
            waiting += 1;
            if waiting == batch {
                self.exchange(&std::mem::take(&mut bytes), std::mem::take(&mut waiting))?;
            }
        }
        self.exchange(&bytes, waiting)
    }

    /// Sends one request whose reply is text; gives the text.
    pub(crate) fn text(&mut self, request: &[&str]) -> Outcome<String> {
        self.stream.write_all(&encode(request))?;
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        let length: usize = line.trim_end().strip_prefix('$').ok_or("not a text")?.parse()?;
        let mut text = vec![0; length + 2];
        self.replies.read_exact(&mut text)?;
        text.truncate(length);
        Ok(String::from_utf8(text)?)
    }

    /// Sends SCAN or HSCAN; gives the next cursor.
    pub(crate) fn scan(&mut self, request: &[&str]) -> Outcome<String> {
        self.stream.write_all(&encode(request))?;
        let mut line = String::new();
        // The head of the pair, and that of the cursor.
        self.replies.read_line(&mut line)?;
        self.replies.read_line(&mut line)?;
        line.clear();
        self.replies.read_line(&mut line)?;
        self.skip_reply()?;
        Ok(line.trim_end().to_owned())
    }

    /// Sends requests that are encoded already, whose replies are texts; tells which of them are null.
    pub(crate) fn missing(&mut self, requests: &[u8], count: usize) -> Outcome<Vec<bool>> {
        self.stream.write_all(requests)?;
        let is_missing = |_| -> Outcome<bool> {
            let mut line = String::new();
            self.replies.read_line(&mut line)?;
            let length: i64 = line.trim_end().strip_prefix('$').ok_or("not a text")?.parse()?;
            if let Ok(length) = u64::try_from(length) {
                std::io::copy(&mut (&mut self.replies).take(length + 2), &mut std::io::sink())?;
            }
            Ok(length < 0)
        };
        (0..count).map(is_missing).collect()
    }

    /// Sends one request whose reply is an integer.
    pub(crate) fn number(&mut self, request: &[&str]) -> Outcome<i64> {
        self.stream.write_all(&encode(request))?;
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        Ok(line.trim_end().strip_prefix(':').ok_or("not an integer")?.parse()?)
    }

    fn skip_reply(&mut self) -> Outcome<()> {
        let (mut elements, mut line) = (1_u64, String::new());
        while elements > 0 {
            elements -= 1;
            line.clear();
            self.replies.read_line(&mut line)?;
            let (kind, rest) = line.trim_end().split_at_checked(1).ok_or("the server has closed the connection")?;
            match kind {
                "*" => elements += rest.parse::<u64>()?,
                "$" if rest != "-1" => {
                    let length: u64 = rest.parse()?;
                    std::io::copy(&mut (&mut self.replies).take(length + 2), &mut std::io::sink())?;
                }
                "-" => return Err(line.as_str().into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A request as RESP bytes.
pub(crate) fn encode<T: AsRef<str>>(request: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for argument in request {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
