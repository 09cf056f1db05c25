//! The drawing of a document: tasks from top to bottom, boxes around what is inside others.
//!
//! The layout follows the structure: a list is a column, branches and a catch stand side by side,
//! and jumps run in lanes beside the column. So nothing ever overlaps, however large it is.

mod block;
mod column;
mod inside;

use crate::document::{Document, Kind, Task};
use block::Block;

/// Width of a task.
pub const NODE_WIDTH: f64 = 220.0;
/// Height of a task, and of a box's head.
pub const NODE_HEIGHT: f64 = 78.0;
/// Around the drawing.
const MARGIN: f64 = 24.0;
/// Radius of the start's and the end's dot.
const DOT: f64 = 9.0;

/// A task in the drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// JSON pointer of the task.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Which kind of task it is.
    pub kind: Kind,
    /// What is worth knowing beside the name.
    pub detail: String,
    /// Whether it is entered only if a condition holds.
    pub conditional: bool,
    /// Whether others are inside.
    pub is_box: bool,
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// A part of a box, e.g. what a try does when it caught something.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// What it is, for people.
    pub label: &'static str,
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// How control flows.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Its corners.
    pub points: Vec<(f64, f64)>,
    /// Words beside it, with the place where they begin.
    pub label: Option<(String, f64, f64)>,
    /// Task that it leaves, or nothing.
    pub from: String,
    /// Task that it leads to, or nothing.
    pub to: String,
    /// Not the usual way: what was caught.
    pub dashed: bool,
}

impl Edge {
    /// The `d` of its path, with round corners.
    #[must_use]
    pub fn path(&self) -> String {
        const ROUND: f64 = 8.0;
        let mut path = String::new();
        for (index, &(x, y)) in self.points.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| self.points.get(index));
            match (before, self.points.get(index + 1)) {
                (None, _) => path += &format!("M{x:.1} {y:.1}"),
                (Some(_), None) => path += &format!("L{x:.1} {y:.1}"),
                (Some(&before), Some(&next)) => {
                    let (ax, ay) = toward((x, y), before, ROUND);
                    let (bx, by) = toward((x, y), next, ROUND);
                    path += &format!("L{ax:.1} {ay:.1}Q{x:.1} {y:.1} {bx:.1} {by:.1}");
                }
            }
        }
        path
    }
}

/// A point from `from` toward `to`, at most half the way.
fn toward(from: (f64, f64), to: (f64, f64), far: f64) -> (f64, f64) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(0.001);
    let part = (far / length).min(0.5);
    (from.0 + dx * part, from.1 + dy * part)
}

/// Where a list or the workflow is left before its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Pill {
    /// `end` or `exit`, behind the case that leads there.
    pub text: String,
    /// Left edge.
    pub x: f64,
    /// Middle.
    pub y: f64,
    /// Width.
    pub width: f64,
}

/// A drawing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// Width of all.
    pub width: f64,
    /// Height of all.
    pub height: f64,
    /// Tasks; boxes before what is inside, in the order of the document.
    pub nodes: Vec<Node>,
    /// Parts of boxes.
    pub zones: Vec<Zone>,
    /// How control flows.
    pub edges: Vec<Edge>,
    /// Early ends.
    pub pills: Vec<Pill>,
    /// Where it starts and ends, with the radius of the dots.
    pub dots: Vec<(f64, f64, f64)>,
}

impl Graph {
    /// Draws a document.
    #[must_use]
    pub fn new(document: &Document) -> Self {
        let column = column::column(&document.tasks);
        let (left, right) = (column.left.max(DOT) + MARGIN, column.right.max(DOT) + MARGIN);
        let top = MARGIN + 2.0 * DOT + column::GAP;
        let bottom = top + column.height;
        let end = bottom + column::GAP + DOT;
        let height = end + DOT + MARGIN;
        let Block { mut graph, falls_through, .. } = column;
        graph.shift(left, top);
        let start = MARGIN + DOT;
        let first = document.tasks.first().map(|task| task.reference.clone());
        graph.edges.push(Edge {
            points: vec![(left, start + DOT), (left, top)],
            label: None,
            from: String::new(),
            to: first.unwrap_or_default(),
            dashed: false,
        });
        if falls_through {
            let last = document.tasks.last().map(|task| task.reference.clone());
            graph.edges.push(Edge {
                points: vec![(left, bottom), (left, end - DOT)],
                label: None,
                from: last.unwrap_or_default(),
                to: String::new(),
                dashed: false,
            });
        }
        graph.dots = vec![(left, start, DOT), (left, end, DOT)];
        (graph.width, graph.height) = (left + right, height);
        graph
    }

    /// The task of that reference.
    #[must_use]
    pub fn node(&self, reference: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.reference == reference)
    }

    /// The nearest task in a direction, for arrow keys: beside it or above it counts more than far
    /// along.
    #[must_use]
    pub fn beside(&self, reference: &str, (dx, dy): (i32, i32)) -> Option<&Node> {
        let from = self.node(reference)?;
        let head = |node: &Node| (node.x + node.width / 2.0, node.y + NODE_HEIGHT / 2.0);
        let (x, y) = head(from);
        let far = |node: &&Node| {
            let (nx, ny) = head(node);
            let (along, across) = match (dx, dy) {
                (0, _) => ((ny - y) * f64::from(dy), (nx - x).abs()),
                _ => ((nx - x) * f64::from(dx), (ny - y).abs()),
            };
            (along > 1.0).then_some(along + 3.0 * across)
        };
        let others = self.nodes.iter().filter(|node| node.reference != reference);
        let near = others.filter_map(|node| Some((far(&node)?, node)));
        near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, node)| node)
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn shift(&mut self, dx: f64, dy: f64) {
        for node in &mut self.nodes {
            (node.x, node.y) = (node.x + dx, node.y + dy);
        }
        for zone in &mut self.zones {
            (zone.x, zone.y) = (zone.x + dx, zone.y + dy);
        }
        for pill in &mut self.pills {
            (pill.x, pill.y) = (pill.x + dx, pill.y + dy);
        }
        for edge in &mut self.edges {
            for point in &mut edge.points {
                *point = (point.0 + dx, point.1 + dy);
            }
            if let Some((_, x, y)) = &mut edge.label {
                (*x, *y) = (*x + dx, *y + dy);
            }
        }
    }

    fn take(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.zones.extend(other.zones);
        self.edges.extend(other.edges);
        self.pills.extend(other.pills);
    }
}

/// The node of a task whose upper middle is at (0, 0).
fn node(task: &Task, is_box: bool, (width, height): (f64, f64)) -> Node {
    Node {
        reference: task.reference.clone(),
        name: task.name.clone(),
        kind: task.kind,
        detail: task.detail.clone(),
        conditional: task.conditional,
        is_box,
        x: -width / 2.0,
        y: 0.0,
        width,
        height,
    }
}

/// How wide a text in small letters is, about.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 6.8
}

#[cfg(test)]
mod tests;
