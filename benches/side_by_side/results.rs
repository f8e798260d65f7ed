//! What has been measured, as tables: printed, kept as JSON, and written as Markdown.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// Which figures are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// Figures of one unit: a row for what was measured, a column for a server. Columns of hashd come first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    /// What the table is known by.
    pub(crate) name: String,
    /// What it shows, with the unit.
    pub(crate) title: String,
    pub(crate) better: Better,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// A row of a table; what a server cannot do has no figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Vec<Option<f64>>,
}

impl Table {
    pub(crate) fn new(name: &str, title: &str, better: Better, columns: Vec<String>) -> Self {
        Self { name: name.to_owned(), title: title.to_owned(), better, columns, rows: Vec::new() }
    }

    /// Adds a row and prints it.
    pub(crate) fn add(&mut self, name: &str, values: Vec<Option<f64>>) {
        if self.rows.is_empty() {
            self.print_head();
        }
        self.keep(name, values);
        self.rows.last().into_iter().for_each(|row| self.print_row(row));
    }

    /// Prints all that has been kept.
    pub(crate) fn print(&self) {
        self.print_head();
        self.rows.iter().for_each(|row| self.print_row(row));
    }

    fn print_head(&self) {
        println!("\n{}\n{:<36}{}", self.title, "", cells(&self.columns));
    }

    fn print_row(&self, row: &Row) {
        println!("{:<36}{}", row.name, cells(&self.figures(row)));
    }

    /// Adds a row without printing it.
    pub(crate) fn keep(&mut self, name: &str, values: Vec<Option<f64>>) {
        self.rows.push(Row { name: name.to_owned(), values });
    }

    /// The number of columns that are hashd's.
    fn hashds(&self) -> usize {
        self.columns.iter().take_while(|column| column.starts_with("hashd")).count()
    }

    /// A figure in relation to that of the better peer.
    fn ratio(&self, row: &Row, column: usize) -> Option<f64> {
        let peers = row.values.iter().skip(self.hashds()).flatten().copied();
        let best = match self.better {
            Better::Lower => peers.fold(f64::INFINITY, f64::min),
            Better::Higher => peers.fold(0.0, f64::max),
        };
        let value = row.values.get(column).copied().flatten()?;
        (best.is_finite() && best > 0.0 && value > 0.0).then(|| value / best)
    }

    /// Geometric mean of a column's ratios to the better peer, over the rows that `of` picks.
    pub(crate) fn mean_ratio(&self, column: usize, of: impl Fn(&Row) -> bool) -> Option<f64> {
        geometric_mean(self.rows.iter().filter(|row| of(row)).filter_map(|row| self.ratio(row, column)))
    }

    /// Geometric mean of a column's figures, over the rows that `of` picks.
    pub(crate) fn mean(&self, column: usize, of: impl Fn(&Row) -> bool) -> Option<f64> {
        geometric_mean(self.rows.iter().filter(|row| of(row)).filter_map(|row| row.values.get(column).copied()?))
    }

    /// A row's figures as text, hashd's with their ratio to the better peer.
    fn figures(&self, row: &Row) -> Vec<String> {
        let text = |(column, value): (usize, &Option<f64>)| match (value, self.ratio(row, column)) {
            (None, _) => "-".to_owned(),
            (Some(value), Some(ratio)) if column < self.hashds() => format!("{} ({ratio:.2})", figure(*value)),
            (Some(value), _) => figure(*value),
        };
        row.values.iter().enumerate().map(text).collect()
    }

    fn markdown(&self) -> String {
        let head = format!("### {}\n\n| | {} |\n", self.title, self.columns.join(" | "));
        let line = format!("|---|{}\n", "---:|".repeat(self.columns.len()));
        let rows = self.rows.iter().map(|row| format!("| {} | {} |\n", row.name, self.figures(row).join(" | ")));
        let rows: String = rows.collect();
        let mean = |column| self.mean_ratio(column, |_| true).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let means: Vec<String> = (0..self.hashds()).map(mean).collect();
        if self.hashds() == self.columns.len() {
            return format!("{head}{line}{rows}");
        }
        format!("{head}{line}{rows}\nGeometric mean of the ratios to the better peer: {}.\n", means.join(", "))
    }
}

/// All that has been measured on a machine.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: String,
    pub(crate) tables: Vec<Table>,
}

impl Results {
    /// What a folder has from before.
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let file = folder.join("results.json");
        if file.exists() { Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?) } else { Ok(Self::default()) }
    }

    /// Puts a table in the place of that of the same name.
    pub(crate) fn put(&mut self, table: Table) {
        match self.tables.iter_mut().find(|old| old.name == table.name) {
            Some(old) => *old = table,
            None => self.tables.push(table),
        }
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Writes JSON, Markdown and the chart.
    pub(crate) fn write(&mut self, folder: &Path) -> Outcome<()> {
        self.machine = machine()?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("results.json"), serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::write(folder.join("chart.svg"), super::chart::draw(self))?;
        let tables: Vec<String> = self.tables.iter().map(Table::markdown).collect();
        let head = format!("# Measured side by side\n\n{}. In brackets: the ratio to the better peer.", self.machine);
        std::fs::write(folder.join("README.md"), format!("{head}\n\n{}", tables.join("\n")))?;
        Ok(())
    }
}

/// A figure with three digits or more, thousands set apart.
pub(crate) fn figure(value: f64) -> String {
    if value < 9.995 {
        return format!("{value:.2}");
    }
    if value < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = values.filter(|&value| value > 0.0).map(f64::ln).collect();
    (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

fn cells(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:>27}")).collect::<Vec<_>>().concat()
}

fn machine() -> Outcome<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{cores} cores of {}, servers and load together", model.unwrap_or(std::env::consts::ARCH).trim()))
}
