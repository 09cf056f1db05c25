//! What makes two errors the same trouble: their kind and their words, without what is particular
//! to one case.

use crate::retry::backoff;

/// Characters of the words that count; what follows seldom tells more.
const WORDS_MAX: usize = 512;

/// A fingerprint of an error: its type and status, and its title and detail without numbers and
/// identifiers. The same in every release and on every machine; 16 hexadecimal digits.
#[must_use]
pub fn fingerprint(kind: &str, status: i32, title: &str, detail: &str) -> String {
    let words = format!("{kind}\n{status}\n{}\n{}", normalised(title), normalised(detail));
    format!("{:016x}", backoff::bits(&words, 0, 0))
}

/// The text in lower case, with each run of words that have a digit in them replaced by `#`:
/// counts, times, addresses, order numbers, UUIDs and digests have one.
#[must_use]
pub fn normalised(text: &str) -> String {
    let mut words = String::new();
    // Whether the last word was left out, and what separated it from the next.
    let (mut word, mut between, mut left_out) = (String::new(), String::new(), false);
    for character in text.chars().chain([' ']) {
        if character.is_alphanumeric() || matches!(character, '_' | '-') {
            word.extend(character.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            let particular = word.chars().any(|character| character.is_ascii_digit());
            if particular && left_out && !between.contains(' ') {
                between.clear();
            } else {
                words.push_str(&between);
                words.push_str(if particular { "#" } else { &word });
                between.clear();
            }
            left_out = particular;
            word.clear();
        }
        if !character.is_whitespace() {
            between.push(character);
        } else if !between.ends_with(' ') && !words.is_empty() {
            between.push(' ');
        }
        if words.len() >= WORDS_MAX {
            break;
        }
    }
    words.push_str(between.trim_end());
    words.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_particular_to_one_case_is_left_out() {
        for (text, expected) in [
            ("Card 4111 declined", "card # declined"),
            ("order ord-2026-17  not found", "order # not found"),
            ("connect to 10.0.0.17:8080: refused", "connect to #: refused"),
            ("no row 6f1f3c9e-0d8e-4b71-9c55-0a3f5d1d2c11!", "no row #!"),
            ("after 3 of 5 tries (1.25s)", "after # of # tries (#)"),
            ("", ""),
            ("  nothing-found ", "nothing-found"),
        ] {
            assert_eq!(normalised(text), expected);
        }
    }

    #[test]
    fn a_fingerprint_never_changes() {
        let of =
            |detail| fingerprint("https://example.com/errors/declined", 402, "Declined", detail);
        assert_eq!(of("card 1 declined"), "63f126b0bdeb6c78");
        assert_eq!(of("card 1 declined"), of("Card 22 declined"));
        assert_ne!(of("card 1 declined"), of("card 1 expired"));
        assert_ne!(of(""), fingerprint("https://example.com/errors/declined", 403, "Declined", ""));
    }

    proptest! {
        #[test]
        fn numbers_make_no_difference_and_words_have_a_limit(
            before in "[a-z ]{0,20}", one: u64, other: u64, after in "[a-z ]{0,20}",
            any in ".{0,600}",
        ) {
            let text = |number| format!("{before} {number} {after}");
            prop_assert_eq!(normalised(&text(one)), normalised(&text(other)));
            let once = normalised(&any);
            prop_assert!(once.chars().count() <= WORDS_MAX);
        }
    }
}
