//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

/// What this format is called.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, but for a restart and CONFIG RESETSTAT.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Quantiles with their sum and count.
    Summary,
    /// Calls up to each bound, with their sum and count.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels of a sample.
type Labels<'l> = &'l [(&'l str, &'l str)];

/// The text in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// The text.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Begins a family, whose samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        debug_assert!(!help.contains(['\\', '\n']), "a text that would have to be escaped");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    /// A sample of the family begun last.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            self.escape(text);
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A counter of its own.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help);
        self.sample(name, &[], value);
    }

    /// A gauge of its own.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    fn escape(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_samples() {
        let mut text = Exposition::default();
        text.gauge("up", "Whether.", 1);
        text.family("calls_total", Kind::Counter, "Calls.");
        text.sample("calls_total", &[("cmd", "a\"b\\c\nd"), ("db", "")], 0.5);
        assert_eq!(
            text.into_text(),
            "# HELP up Whether.\n# TYPE up gauge\nup 1\n# HELP calls_total Calls.\n# TYPE calls_total counter\n\
             calls_total{cmd=\"a\\\"b\\\\c\\nd\",db=\"\"} 0.5\n"
        );
    }
}
