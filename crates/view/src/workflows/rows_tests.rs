use proptest::prelude::*;

use super::*;

fn row(number: usize) -> Workflow {
    Workflow { id: format!("w{number:04}"), ..Workflow::default() }
}

/// The mesh's answer: of these workflows, newest first, those behind the token.
fn page(all: &[usize], token: &str, size: usize) -> (Vec<Workflow>, String) {
    let mut sorted = all.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    let behind = sorted.into_iter().map(row).filter(|row| token.is_empty() || *row.id < *token);
    let page: Vec<_> = behind.take(size).collect();
    let next = page.last().filter(|_| page.len() == size).map(|row| row.id.clone());
    (page, next.unwrap_or_default())
}

fn numbers(rows: &Rows) -> Vec<usize> {
    rows.ids().iter().filter_map(|id| id[1..].parse().ok()).collect()
}

fn loaded(all: &[usize], size: usize, pages: usize) -> Rows {
    let mut rows = Rows::default();
    let (first, next) = page(all, "", size);
    rows.begin(first, next);
    for _ in 1..pages {
        let Some(token) = rows.next().map(str::to_owned) else { break };
        let (more, next) = page(all, &token, size);
        rows.append(token, more, next);
    }
    rows
}

#[test]
fn pages_follow_one_another() {
    let all: Vec<_> = (0..25).collect();
    let rows = loaded(&all, 10, 9);
    assert_eq!(numbers(&rows), (0..25).rev().collect::<Vec<_>>());
    assert_eq!(rows.next(), None);
    assert_eq!(rows.pages_of(&rows.ids()[12..14]), ["w0015"]);
    assert_eq!(rows.pages_of(&rows.ids()[8..12]), ["", "w0015"]);
    assert_eq!(rows.pages_of(&rows.ids()[0..3]), [""]);
}

#[test]
fn new_ones_wait_until_they_are_wanted() {
    let mut rows = loaded(&(0..5).collect::<Vec<_>>(), 10, 1);
    let (first, next) = page(&(0..8).collect::<Vec<_>>(), "", 10);
    assert_eq!(rows.refresh("", first.clone(), &next, false), Taken::Newer(3));
    assert_eq!(numbers(&rows), [4, 3, 2, 1, 0]);
    assert_eq!(rows.refresh("", first, &next, true), Taken::Merged);
    assert_eq!(numbers(&rows), [7, 6, 5, 4, 3, 2, 1, 0]);
    assert!(!rows.put(row(9), false) && rows.put(row(9), true) && rows.put(row(3), false));
}

#[test]
fn a_page_of_only_new_ones_begins_the_list_anew() {
    let mut rows = loaded(&(0..20).collect::<Vec<_>>(), 5, 3);
    let (first, next) = page(&(0..40).collect::<Vec<_>>(), "", 5);
    assert_eq!(rows.refresh("", first.clone(), &next, false), Taken::Newer(5));
    assert_eq!(numbers(&rows).len(), 15);
    assert_eq!(rows.refresh("", first, &next, true), Taken::Merged);
    assert_eq!(numbers(&rows), [39, 38, 37, 36, 35]);
    assert_eq!(rows.next(), Some("w0035"));
}

#[test]
fn what_left_the_filter_leaves_the_list() {
    let mut rows = loaded(&(0..20).collect::<Vec<_>>(), 5, 2);
    let left: Vec<_> = (0..20).filter(|number| number % 2 == 0).collect();
    let (first, next) = page(&left, "", 5);
    rows.refresh("", first, &next, true);
    assert_eq!(numbers(&rows), [18, 16, 14, 12, 10]);
    assert_eq!(rows.next(), Some("w0010"));
    rows.remove("w0018");
    assert_eq!(rows.pages_of(rows.ids()), [""]);
    assert_eq!(numbers(&rows).len(), 4);
    rows.refresh("", Vec::new(), "", false);
    assert_eq!((numbers(&rows).len(), rows.next()), (0, None));
    assert!(rows.put(row(3), true));
    assert_eq!(rows.pages_of(rows.ids()), [""]);
}

proptest! {
    /// Whatever comes and goes: once each page was asked for again, the list is the mesh's.
    #[test]
    fn a_list_that_was_refreshed_is_as_the_mesh_has_it(
        before in proptest::collection::vec(0usize..200, 0..120),
        after in proptest::collection::vec(0usize..300, 0..120),
        size in 1usize..20,
        pages in 1usize..8,
    ) {
        let mut rows = loaded(&before, size, pages);
        let mut token = String::new();
        loop {
            let (answer, next) = page(&after, &token, size);
            rows.refresh(&token, answer, &next, true);
            let pages = rows.pages_of(rows.ids());
            prop_assert!(rows.ids().is_empty() == pages.is_empty());
            if next.is_empty() || rows.ids().last().is_none_or(|last| **last >= *next) {
                break;
            }
            token = next;
        }
        while let Some(token) = rows.next().map(str::to_owned) {
            let (answer, next) = page(&after, &token, size);
            rows.append(token, answer, next);
        }
        let mut wanted = after;
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        wanted.dedup();
        prop_assert_eq!(numbers(&rows), wanted);
    }

    #[test]
    fn the_window_has_all_that_is_seen(
        count in 0usize..20_000, top in 0usize..900_000, seen in 0usize..3000,
    ) {
        let window = window(count, 40, top, seen);
        let drawn = window.rows.len();
        prop_assert_eq!(window.above + drawn * 40 + window.below, count * 40);
        let first = (top / 40).min(count);
        let last = ((top + seen) / 40).min(count.saturating_sub(1));
        prop_assert!(window.rows.start <= first);
        prop_assert!(first >= count || last < window.rows.end);
        prop_assert!(drawn <= 110);
    }
}
