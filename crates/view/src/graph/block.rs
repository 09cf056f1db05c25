//! A piece of the drawing that is laid out: its axis is x = 0, its upper edge y = 0.

use super::Graph;

/// A piece of the drawing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Block {
    /// How far it reaches to the left of its axis.
    pub(super) left: f64,
    /// How far it reaches to the right.
    pub(super) right: f64,
    pub(super) height: f64,
    pub(super) graph: Graph,
    /// Whether control can come out at its lower end.
    pub(super) falls_through: bool,
}

impl Block {
    pub(super) fn width(&self) -> f64 {
        self.left + self.right
    }
}
