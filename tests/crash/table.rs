//! The tables of docs/crash-safety.md held against what was counted.

/// Fails unless the table row that begins with `name` has these cells.
pub fn expect(name: &str, counted: &[usize]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/crash-safety.md");
    let text = std::fs::read_to_string(path).expect(path);
    let cells: Vec<String> = counted.iter().map(usize::to_string).collect();
    let row = format!("| {name} | {} |", cells.join(" | "));
    let stated = text
        .lines()
        .find(|line| line.starts_with(&format!("| {name} |")));
    assert_eq!(stated, Some(row.as_str()), "docs/crash-safety.md");
}
