//! The report as text, long lists shortened; the JSON has all of it.

use std::fmt::Write;

use unet_data::counted;

use super::finding::{Finding, Kind, Severity};
use super::report::{CheckReport, ClassSummary, SizeSummary, ValueSummary};

/// Maximum number of findings of one kind.
const FINDINGS_SHOWN: usize = 8;

/// Maximum number of file names of one finding.
const FILES_SHOWN: usize = 4;

/// Maximum number of mask values.
const VALUES_SHOWN: usize = 40;

/// The same if no classes can be made of them.
const VALUES_WITHOUT_CLASS_SHOWN: usize = 8;

/// Maximum number of folders with unused files that are listed.
const UNUSED_SHOWN: usize = 8;

/// Maximum number of image sizes.
const SIZES_SHOWN: usize = 5;

impl CheckReport {
    /// The report as text, with a line feed at its end; `verbose` names every file.
    pub fn text(&self, verbose: bool) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write_report(&mut text, self, verbose);
        text
    }
}

fn write_report(out: &mut String, report: &CheckReport, verbose: bool) -> std::fmt::Result {
    writeln!(out, "{}", report.root)?;
    match report.layout {
        Some(layout) => {
            let pairs: Vec<String> = report.splits.iter().map(|s| format!("{} {}", s.split, s.pairs)).collect();
            writeln!(out, "  layout  {layout}")?;
            writeln!(out, "  pairs   {}", pairs.join(", "))?;
        }
        None if report.findings.iter().any(|finding| finding.kind == Kind::DatasetFile) => {
            writeln!(out, "  layout  not read, because of dataset.toml")?;
        }
        // A file has no layout.
        None if report.findings.iter().any(|finding| finding.kind == Kind::NotAFolder) => {}
        None => writeln!(out, "  layout  not accepted")?,
    }
    let files = |read: usize, unreadable: usize, noun: &str| {
        let files = counted(read + unreadable, noun);
        if unreadable > 0 { format!("{files} ({unreadable} unreadable)") } else { files }
    };
    let images = files(report.images, report.images_unreadable, "image");
    let masks = files(report.masks, report.masks_unreadable, "mask");
    // If a folder can be read in several ways, no file was examined.
    if report.layout.is_some() || report.images + report.images_unreadable + report.masks + report.masks_unreadable > 0
    {
        writeln!(out, "  files   {images}, {masks}")?;
    }
    if !report.sizes.is_empty() {
        let size = |s: &SizeSummary| format!("{}x{} ({})", s.width, s.height, s.images);
        let shown: Vec<String> = report.sizes.iter().take(SIZES_SHOWN).map(size).collect();
        let more = more(report.sizes.len(), SIZES_SHOWN, "more size");
        let formats: Vec<String> = report.formats.iter().map(|(format, count)| format!("{format} ({count})")).collect();
        writeln!(out, "  sizes   {}{more}", shown.join(", "))?;
        writeln!(out, "  pixels  {}", formats.join(", "))?;
    }
    if let Some(labels) = &report.labels {
        writeln!(out, "  labels  {labels}")?;
    }
    for note in &report.notes {
        writeln!(out, "  note    {note}")?;
    }
    write_values(out, report)?;
    write_findings(out, report, verbose)
}

fn write_values(out: &mut String, report: &CheckReport) -> std::fmt::Result {
    if report.values.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  {:>8}  {:>8}  {:>6}  class", "value", "share", "masks")?;
    // The most frequent values.
    let mut shown: Vec<&ValueSummary> = report.values.iter().collect();
    shown.sort_by(|a, b| b.share.total_cmp(&a.share));
    // Values of which no classes can be made, such as those of photographs, say little one by one.
    let most = if report.classes.is_empty() { VALUES_WITHOUT_CLASS_SHOWN } else { VALUES_SHOWN };
    shown.truncate(most);
    shown.sort_by_key(|value| value.value);
    for value in shown {
        let class = match value.class.and_then(|id| report.classes.get(usize::from(id))) {
            Some(class) if class.name == value.value.to_string() => class.id.to_string(),
            Some(class) => format!("{} {}", class.id, class.name),
            None if value.ignored => "ignored".into(),
            None => "none".into(),
        };
        let share = format!("{:.3} %", value.share * 100.0);
        writeln!(out, "  {:>8}  {share:>8}  {:>6}  {class}", value.value.to_string(), value.masks)?;
    }
    let all = report.values.len() + report.values_omitted;
    if all > most {
        writeln!(out, "  and {}", counted(all - most, "rarer value"))?;
    }
    if !report.classes.is_empty() && report.classes.len() < report.values.len() {
        let name = |c: &ClassSummary| {
            if c.name == c.id.to_string() { c.name.clone() } else { format!("{} {}", c.id, c.name) }
        };
        let classes = report.classes.iter().map(|c| format!("class {} {:.3} %", name(c), c.share * 100.0));
        writeln!(out, "  share of the pixels that count: {}", classes.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn write_findings(out: &mut String, report: &CheckReport, verbose: bool) -> std::fmt::Result {
    let count = |severity, noun| counted(report.of(severity).count(), noun);
    let (errors, warnings) = (count(Severity::Error, "error"), count(Severity::Warning, "warning"));
    let unused: usize = report.unused.iter().map(|unused| unused.files).sum();
    let left = if unused > 0 { format!(", {} not used", counted(unused, "image file")) } else { String::new() };
    writeln!(out, "\n{errors}, {warnings}, {}{left}", count(Severity::Info, "note"))?;
    let shown = if verbose { report.unused.len() } else { UNUSED_SHOWN };
    for unused in report.unused.iter().take(shown) {
        writeln!(out, " unused  {unused}")?;
    }
    if report.unused.len() > shown {
        writeln!(out, "         and {} (--verbose)", counted(report.unused.len() - shown, "more folder"))?;
    }
    let mut group: Option<(Severity, Kind)> = None;
    let mut shown = 0;
    for finding in &report.findings {
        let this = (finding.severity, finding.kind);
        if group != Some(this) {
            (group, shown) = (Some(this), 0);
        }
        shown += 1;
        if verbose || shown <= FINDINGS_SHOWN {
            write_finding(out, finding, verbose)?;
        } else if shown == FINDINGS_SHOWN + 1 {
            let all = report.findings.iter().filter(|f| (f.severity, f.kind) == this).count();
            writeln!(out, "         and {} more of this kind", all - FINDINGS_SHOWN)?;
        }
    }
    Ok(())
}

fn write_finding(out: &mut String, finding: &Finding, verbose: bool) -> std::fmt::Result {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    // Indents the further lines of a message.
    let message = finding.message.replace('\n', "\n         ");
    writeln!(out, "{severity:>7}  {}: {message}", finding.kind.title())?;
    if !finding.files.is_empty() {
        writeln!(out, "         in {}", files(finding, verbose))?;
    }
    Ok(())
}

fn files(finding: &Finding, verbose: bool) -> String {
    let shown = if verbose { finding.files.len() } else { FILES_SHOWN };
    let names = finding.files.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    format!("{names}{}", more(finding.files.len(), shown, "more file"))
}

impl CheckReport {
    /// A line for each finding of this severity; of many of one kind the first, and the number of the others.
    pub fn lines(&self, severity: Severity) -> Vec<String> {
        let mut lines = Vec::new();
        let found: Vec<&Finding> = self.of(severity).collect();
        for kind in found.chunk_by(|a, b| a.kind == b.kind) {
            lines.extend(kind.iter().take(FINDINGS_SHOWN).map(|finding| finding.line()));
            if let Some(more) = kind.len().checked_sub(FINDINGS_SHOWN).filter(|more| *more > 0) {
                lines.push(format!("{}: {more} more; `unet-host check` shows them", kind[0].kind.title()));
            }
        }
        lines
    }
}

impl Finding {
    /// The finding as text, on one line unless its message has several: an image or a pair before what is wrong with it, more files
    /// after it.
    pub fn line(&self) -> String {
        let (title, message, files) = (self.kind.title(), &self.message, files(self, false));
        match self.files.len() {
            0 => format!("{title}: {message}"),
            1 | 2 => format!("{title}: {files}: {message}"),
            _ => format!("{title}: {message} (in {files})"),
        }
    }
}

fn more(all: usize, shown: usize, what: &str) -> String {
    if all > shown { format!(" and {}", counted(all - shown, what)) } else { String::new() }
}
