//! Which DEFAULTs of a column are literals.
//!
//! A DEFAULT that is an expression is evaluated for each added row: it can take minutes, where no
//! budget counts it, or give another value each time.

/// Whether the text of a DEFAULT, as SQLite reports it, is a literal: a number, a string, a blob,
/// NULL, TRUE or FALSE. CURRENT_TIME and its kin are none.
pub(super) fn is_literal(text: &str) -> bool {
    let text = text.trim();
    let words = ["NULL", "TRUE", "FALSE"];
    if words.iter().any(|known| text.eq_ignore_ascii_case(known)) {
        return true;
    }
    let blob = text.strip_prefix(['x', 'X']);
    if let Some(hex) = blob.and_then(|rest| quoted(rest, '\'')) {
        return hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    quoted(text, '\'').is_some() || quoted(text, '"').is_some() || is_number(text)
}

/// What stands between the quotes, where the text is one quoted string and no more.
fn quoted(text: &str, quote: char) -> Option<&str> {
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    // A quote inside is written twice.
    let doubled = format!("{quote}{quote}");
    (!inner.replace(&doubled, "").contains(quote)).then_some(inner)
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    if let Some(hex) = hex {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let known = |b: u8| b.is_ascii_digit() || b".eE+-".contains(&b);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(known)
        && digits.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_literal;

    #[test]
    fn a_literal_is_told_from_an_expression() {
        for text in [
            "''", "'a''b'", "\"\"", "1", "-1", "+2.5e-3", "0x1F", "NULL", "true", "x'00ff'",
            "'(x)'",
        ] {
            assert!(is_literal(text), "{text}");
        }
        for text in [
            "",
            "datetime(CURRENT_TIMESTAMP)",
            "CURRENT_TIMESTAMP",
            "randomblob(9)",
            "'a' || 'b'",
            "'a' + 'b'",
            "1+1",
            "(1)",
            "x'zz'",
            "rowid",
            "-x",
        ] {
            assert!(!is_literal(text), "{text}");
        }
    }
}
