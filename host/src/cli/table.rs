//! Tables as text.

/// Rows of cells below each other: the first column and columns of words begin at the left, all others end at the right. The first
/// row has the headings.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_number = |text: &str| text.parse::<f64>().is_ok() || text == "\u{2013}" || text == "none";
    let numeric: Vec<bool> =
        (0..columns).map(|column| column > 0 && rows.iter().skip(1).all(|row| is_number(&cell(row, column)))).collect();
    let mut text = String::new();
    for row in rows {
        let cells = (0..columns).map(|column| {
            let (cell, width) = (cell(row, column), widths[column]);
            if numeric[column] { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += &format!("  {}\n", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_hand() {
        let rows = [["run", "best", "state"], ["a", "0.5", "done"], ["longer", "none", ""]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).into()).collect();
        assert_eq!(aligned(&rows), "  run     best  state\n  a        0.5  done\n  longer  none\n");
        assert_eq!(aligned(&[]), "");
    }
}
