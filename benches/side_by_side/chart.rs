//! The chart of the README: four panels of three bars, as SVG. Colours are chosen to be read on light and on dark pages,
//! and the background is the page's own.

use super::results::{Better, Results, Row, Table, figure};

const PANEL_WIDTH: usize = 420;
const PANEL_HEIGHT: usize = 150;
const GAP: usize = 40;
const MARGIN: usize = 10;
/// Where the bars begin, right of the servers' names, and how long the longest is.
const BARS_AT: usize = 62;
const BAR_LENGTH: usize = 250;
const BAR_HEIGHT: usize = 22;
const BAR_STEP: usize = 32;

/// The colours of hashd and of the others, and what the servers are called.
const SERVERS: [(&str, &str); 3] = [("hashd", "#e8590c"), ("Redis", "#868e96"), ("Valkey", "#868e96")];

const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #6e7781 }
.title { font-size: 15px; font-weight: 600; fill: #57606a }
.small { font-size: 11px }
.own { font-weight: 700; fill: #e8590c }
@media (prefers-color-scheme: dark) {
text { fill: #8b949e }
.title { fill: #c9d1d9 }
.own { fill: #ff8c42 }
}
";

/// One bar for each server.
struct Panel {
    title: String,
    better: Better,
    unit: &'static str,
    bars: Vec<(usize, f64)>,
}

/// Draws what there is of the four panels.
pub(crate) fn draw(results: &Results) -> String {
    let panels: Vec<Panel> = [throughput(results), requests(results), memory(results), stalls(results)]
        .into_iter()
        .flatten()
        .filter(|panel| !panel.bars.is_empty())
        .collect();
    let (width, rows) = (2 * PANEL_WIDTH + GAP + 2 * MARGIN, panels.len().div_ceil(2));
    let height = rows * PANEL_HEIGHT;
    let place = |index: usize| (MARGIN + index % 2 * (PANEL_WIDTH + GAP), MARGIN + index / 2 * PANEL_HEIGHT);
    let group = |(index, panel): (usize, &Panel)| {
        let (x, y) = place(index);
        format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", panel.draw())
    };
    let groups: String = panels.iter().enumerate().map(group).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"hashd beside Redis and Valkey\">\n<style>\n{STYLE}</style>\n{groups}</svg>\n"
    )
}

impl Panel {
    fn draw(&self) -> String {
        let word = if self.better == Better::Lower { "less is better" } else { "more is better" };
        let title = &self.title;
        let longest = self.bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
        let bars: String = self.bars.iter().enumerate().map(|(row, &bar)| self.draw_bar(row, bar, longest)).collect();
        format!(
            "<text class=\"title\" x=\"0\" y=\"18\">{title}</text>\
             <text class=\"small\" x=\"{PANEL_WIDTH}\" y=\"18\" text-anchor=\"end\">{word}</text>\n{bars}"
        )
    }

    fn draw_bar(&self, row: usize, (server, value): (usize, f64), longest: f64) -> String {
        let (name, colour) = SERVERS[server];
        let class = if server == 0 { " class=\"own\"" } else { "" };
        let top = 34 + row * BAR_STEP;
        let middle = top + BAR_HEIGHT / 2 + 5;
        let length = (value / longest * BAR_LENGTH as f64).max(2.0);
        format!(
            "<text{class} x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{BARS_AT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" rx=\"3\" fill=\"{colour}\"/>\
             <text{class} x=\"{:.1}\" y=\"{middle}\">{}{}</text>\n",
            BARS_AT - 8,
            BARS_AT as f64 + length + 8.0,
            figure(value),
            self.unit
        )
    }
}

/// The mean over the five commands; of a peer, its best setting.
fn throughput(results: &Results) -> Option<Panel> {
    let table = results.table("throughput")?;
    let best = |server: &str| {
        let columns = table.columns.iter().enumerate().filter(|(_, column)| column.starts_with(server));
        columns.filter_map(|(index, _)| table.mean(index, |_| true)).reduce(f64::max).map(|rate| rate / 1000.0)
    };
    let title = "Requests per second, all cores".to_owned();
    Some(Panel { title, better: Better::Higher, unit: " k", bars: bars(best) })
}

/// The mean over the five commands at the deepest pipeline.
fn requests(results: &Results) -> Option<Panel> {
    let table = results.table("requests")?;
    let deepest = table.rows.last()?.name.split(' ').next()?;
    let title = format!("CPU time per request, pipeline {}", deepest.trim_start_matches("P="));
    let mean = |server: &str| table.mean(column(table, server)?, |row| row.name.split(' ').next() == Some(deepest));
    Some(Panel { title, better: Better::Lower, unit: " ns", bars: bars(mean) })
}

/// The mean over the five workloads.
fn memory(results: &Results) -> Option<Panel> {
    let table = results.table("memory")?;
    let mean = |server: &str| table.mean(column(table, server)?, |row| !row.name.contains("HIMPORT"));
    Some(Panel { title: "Memory per hash".to_owned(), better: Better::Lower, unit: " bytes", bars: bars(mean) })
}

/// The longest of all waits, the idle machine's left out.
fn stalls(results: &Results) -> Option<Panel> {
    let table = results.table("stalls")?;
    let longest = |server: &str| {
        let column = column(table, server)?;
        let of = |row: &Row| row.values.get(column).copied().flatten();
        table.rows.iter().filter(|row| row.name != "idle").filter_map(of).reduce(f64::max)
    };
    let title = "Longest wait behind a heavy command".to_owned();
    Some(Panel { title, better: Better::Lower, unit: " ms", bars: bars(longest) })
}

fn bars(value: impl Fn(&str) -> Option<f64>) -> Vec<(usize, f64)> {
    SERVERS.iter().enumerate().filter_map(|(index, (server, _))| Some((index, value(server)?))).collect()
}

fn column(table: &Table, server: &str) -> Option<usize> {
    table.columns.iter().position(|column| column.starts_with(server))
}
