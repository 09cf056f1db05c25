//! One task: a rectangle, or a box with its parts side by side.

use super::block::Block;
use super::column::{GAP, column};
use super::{Edge, Graph, NODE_HEIGHT, NODE_WIDTH, Zone, node};
use crate::document::{Kind, Part, Task};

/// Inside a box.
const PADDING: f64 = 16.0;
/// Between two parts.
const BETWEEN: f64 = 20.0;
/// Where a part says what it is.
const ZONE_HEAD: f64 = 24.0;
const BOX_WIDTH_MIN: f64 = 300.0;

/// Lays out a task.
pub(super) fn block(task: &Task) -> Block {
    let parts: Vec<Block> = task.parts.iter().map(part).collect();
    if parts.iter().all(|part| part.graph.is_empty()) {
        let half = NODE_WIDTH / 2.0;
        let nodes = vec![node(task, false, (NODE_WIDTH, NODE_HEIGHT))];
        let graph = Graph { nodes, ..Graph::default() };
        return Block { left: half, right: half, height: NODE_HEIGHT, graph, falls_through: true };
    }
    let gaps = parts.len().saturating_sub(1) as f64 * BETWEEN;
    let content: f64 = parts.iter().map(Block::width).sum::<f64>() + gaps;
    let width = (content + 2.0 * PADDING).max(BOX_WIDTH_MIN);
    let top = NODE_HEIGHT + GAP * 0.9;
    let tallest = parts.iter().map(|part| part.height).fold(0.0, f64::max);
    let height = top + tallest + PADDING;
    let mut graph = Graph { nodes: vec![node(task, true, (width, height))], ..Graph::default() };
    let mut x = -content / 2.0;
    let mut before: Option<f64> = None;
    for (part, mut block) in task.parts.iter().zip(parts) {
        let axis = x + block.left;
        block.graph.shift(axis, top);
        graph.take(block.graph);
        graph.edges.push(into(task, part, (axis, top), before));
        x += block.left + block.right;
        before = Some(x);
        x += BETWEEN;
    }
    let half = width / 2.0;
    Block { left: half, right: half, height, graph, falls_through: true }
}

/// A part of a box; with a frame around it if it has a name.
fn part(part: &Part) -> Block {
    let mut block = column(&part.tasks);
    if part.label.is_empty() {
        return block;
    }
    block.graph.shift(0.0, ZONE_HEAD);
    block.left += PADDING / 2.0;
    block.right += PADDING / 2.0;
    block.height += ZONE_HEAD + PADDING / 2.0;
    let zone = Zone {
        label: part.label,
        x: -block.left,
        y: 0.0,
        width: block.width(),
        height: block.height,
    };
    block.graph.zones.insert(0, zone);
    block
}

/// How a part is entered: from the box's head; a catch from what is tried.
fn into(task: &Task, part: &Part, (axis, top): (f64, f64), before: Option<f64>) -> Edge {
    let to = part.tasks.first().map(|task| task.reference.clone()).unwrap_or_default();
    let caught = task.kind == Kind::Try && part.label == "catch";
    let first = if part.label.is_empty() { top } else { top + ZONE_HEAD };
    let points = match before.filter(|_| caught) {
        Some(edge) => {
            let y = top + ZONE_HEAD / 2.0;
            vec![(edge, y), (edge + BETWEEN, y)]
        }
        None => {
            let turn = f64::midpoint(NODE_HEIGHT, top);
            if axis.abs() < 1.0 {
                vec![(axis, NODE_HEIGHT), (axis, first)]
            } else {
                vec![(0.0, NODE_HEIGHT), (0.0, turn), (axis, turn), (axis, first)]
            }
        }
    };
    Edge { points, label: None, from: task.reference.clone(), to, dashed: caught }
}
