//! Tasks one after the other, and the jumps between them.

use std::collections::BTreeMap;

use super::block::Block;
use super::{Edge, NODE_WIDTH, Pill, inside, text_width};
use crate::document::{Kind, Task, Then};

/// Between two tasks.
pub(super) const GAP: f64 = 40.0;
/// Between two lanes.
const LANE: f64 = 18.0;
/// Between a task and what is beside it.
const BESIDE: f64 = 16.0;
/// Where edges meet a task's side, from its upper edge.
const INTO: f64 = 38.0;
const OUT_OF: f64 = 56.0;
const PILL: f64 = 15.0;
/// Letters of a label.
const LABEL_MAX: usize = 24;

/// A way out of a task other than to the next one.
struct Jump {
    from: usize,
    to: usize,
    label: String,
}

/// Where control goes from a task, each way with the words that it has.
#[derive(Default)]
struct Ways {
    /// To the next task, with the words, if at all.
    next: Option<String>,
    /// Names of tasks.
    tasks: BTreeMap<String, Vec<String>>,
    pills: Vec<String>,
}

impl Ways {
    fn add(&mut self, then: &Then, label: &str) {
        let told = |end: &str| {
            if label.is_empty() { end.to_owned() } else { format!("{label}: {end}") }
        };
        match then {
            Then::Continue => match &mut self.next {
                Some(words) if !words.is_empty() && !label.is_empty() => {
                    *words = format!("{words}, {label}");
                }
                Some(_) => {}
                None => self.next = Some(label.to_owned()),
            },
            Then::Exit => self.pills.push(told("exit")),
            Then::End => self.pills.push(told("end")),
            Then::Task(name) => self.tasks.entry(name.clone()).or_default().push(label.to_owned()),
        }
    }

    fn of(task: &Task) -> Self {
        let mut ways = Self::default();
        match task.kind {
            Kind::Switch => {
                for case in &task.cases {
                    ways.add(&case.then, &case.name);
                }
                if task.cases.iter().all(|case| case.conditional) {
                    ways.add(&task.then, "else");
                }
            }
            Kind::Raise => {}
            _ => ways.add(&task.then, ""),
        }
        if task.kind == Kind::Try && task.catch_then != Then::Continue {
            ways.add(&task.catch_then, "caught");
        }
        if task.conditional && ways.next.is_none() {
            ways.add(&Then::Continue, "if not");
        }
        ways
    }
}

/// Lays out a list of tasks.
pub(super) fn column(tasks: &[Task]) -> Block {
    let mut column = Block { falls_through: true, ..Block::default() };
    let mut tops = Vec::new();
    let mut widths = Vec::new();
    let mut jumps = Vec::new();
    let mut straight: Vec<Option<String>> = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let mut block = inside::block(task);
        let ways = Ways::of(task);
        pills(&mut block, &ways.pills);
        let top = if index == 0 { 0.0 } else { column.height + GAP };
        let mut next = ways.next;
        for (name, labels) in ways.tasks {
            let label = shortened(&labels.join(", "));
            let Some(to) = tasks.iter().position(|task| task.name == name) else { continue };
            if to == index + 1 && next.as_ref().is_none_or(String::is_empty) {
                next = Some(label);
            } else {
                jumps.push(Jump { from: index, to, label });
            }
        }
        if let Some(before) = index.checked_sub(1).and_then(|index| tasks.get(index))
            && let Some(Some(label)) = straight.last()
        {
            column.graph.edges.push(down(before, task, column.height, top, label));
        }
        straight.push(next.map(|label| shortened(&label)));
        tops.push(top);
        widths.push(block.graph.nodes.first().map_or(NODE_WIDTH, |node| node.width) / 2.0);
        column.left = column.left.max(block.left);
        column.right = column.right.max(block.right);
        column.height = top + block.height;
        block.graph.shift(0.0, top);
        column.graph.take(block.graph);
    }
    column.falls_through = straight.last().is_none_or(Option::is_some);
    lanes(&mut column, tasks, &jumps, (&tops, &widths));
    column
}

fn shortened(label: &str) -> String {
    match label.char_indices().nth(LABEL_MAX) {
        Some((at, _)) => format!("{}…", &label[..at]),
        None => label.to_owned(),
    }
}

fn down(from: &Task, to: &Task, top: f64, bottom: f64, label: &str) -> Edge {
    let place = (label.to_owned(), 8.0, f64::midpoint(top, bottom) + 1.0);
    Edge {
        points: vec![(0.0, top), (0.0, bottom)],
        label: (!label.is_empty()).then_some(place),
        from: from.reference.clone(),
        to: to.reference.clone(),
        dashed: false,
    }
}

/// Ends beside a task, one beneath the other.
fn pills(block: &mut Block, texts: &[String]) {
    let Some(node) = block.graph.nodes.first() else { return };
    let (from, edge) = (node.reference.clone(), node.x + node.width);
    let text = texts.iter().map(|text| shortened(text)).collect::<Vec<_>>().join(" · ");
    if text.is_empty() {
        return;
    }
    let (x, width) = (block.right + BESIDE, text_width(&text) + 24.0);
    block.graph.edges.push(Edge {
        points: vec![(edge, PILL), (x, PILL)],
        label: None,
        from,
        to: String::new(),
        dashed: false,
    });
    block.graph.pills.push(Pill { text, x, y: PILL, width });
    block.right = x + width;
}

/// Runs the jumps beside the column: forward ones on the right, backward ones on the left.
fn lanes(column: &mut Block, tasks: &[Task], jumps: &[Jump], at: (&[f64], &[f64])) {
    let (tops, widths) = at;
    for forward in [true, false] {
        let ours: Vec<_> = jumps.iter().filter(|jump| (jump.to > jump.from) == forward).collect();
        if ours.is_empty() {
            continue;
        }
        let side = if forward { 1.0 } else { -1.0 };
        let widest = ours.iter().map(|jump| text_width(&jump.label)).fold(0.0, f64::max);
        let reach = if forward { column.right } else { column.left };
        let first = reach + BESIDE + if widest > 0.0 { widest + 8.0 } else { 0.0 };
        // Each lane with the stretches of tasks that it is taken for.
        let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
        for jump in ours {
            let span = (jump.from.min(jump.to), jump.from.max(jump.to));
            let free = |lane: &Vec<(usize, usize)>| {
                lane.iter().all(|other| other.1 < span.0 || span.1 < other.0)
            };
            let lane = taken.iter().position(free).unwrap_or(taken.len());
            match taken.get_mut(lane) {
                Some(spans) => spans.push(span),
                None => taken.push(vec![span]),
            }
            let x = side * (first + lane as f64 * LANE);
            let (Some(&y), Some(&until)) = (tops.get(jump.from), tops.get(jump.to)) else {
                continue;
            };
            let (Some(&half), Some(&to_half)) = (widths.get(jump.from), widths.get(jump.to)) else {
                continue;
            };
            let points = vec![
                (side * half, y + OUT_OF),
                (x, y + OUT_OF),
                (x, until + INTO),
                (side * to_half, until + INTO),
            ];
            let shift = if forward { 6.0 } else { -6.0 - text_width(&jump.label) };
            let label = (jump.label.clone(), side * reach + shift, y + OUT_OF - 5.0);
            column.graph.edges.push(Edge {
                points,
                label: (!jump.label.is_empty()).then_some(label),
                from: tasks.get(jump.from).map(|task| task.reference.clone()).unwrap_or_default(),
                to: tasks.get(jump.to).map(|task| task.reference.clone()).unwrap_or_default(),
                dashed: false,
            });
        }
        let reach = first + taken.len().saturating_sub(1) as f64 * LANE + 6.0;
        if forward {
            column.right = reach;
        } else {
            column.left = reach;
        }
    }
}
