//! Where one looks at the drawing from: shifted by dragging, nearer and farther by the wheel.

use leptos::prelude::*;

/// Nearer than this is a single task.
const SCALE_MAX: f64 = 2.5;
const SCALE_MIN: f64 = 0.03;
/// Smaller letters cannot be read: a large drawing is shown in part at first.
const READABLE: f64 = 0.62;
const FIRST_MAX: f64 = 1.15;
/// Around what is to be seen.
const MARGIN: f64 = 24.0;
/// A shorter way is a click.
const DRAG_MIN: f64 = 4.0;

/// Shift and scale of the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    x: f64,
    y: f64,
    scale: f64,
}

/// The place that one looks from.
#[derive(Clone, Copy)]
pub(super) struct Camera {
    view: RwSignal<View>,
    /// Size of the window that the drawing is seen through.
    size: RwSignal<(f64, f64)>,
    /// Where the pointer went down, and the shift then.
    held: StoredValue<Option<((f64, f64), (f64, f64))>>,
    pub(super) drags: RwSignal<bool>,
}

impl Camera {
    pub(super) fn new() -> Self {
        Self {
            view: RwSignal::new(View { x: 0.0, y: 0.0, scale: 1.0 }),
            size: RwSignal::new((800.0, 500.0)),
            held: StoredValue::new(None),
            drags: RwSignal::new(false),
        }
    }

    pub(super) fn resize(&self, size: (f64, f64)) {
        self.size.set(size);
    }

    /// The window has another size: what was in its middle stays there.
    pub(super) fn recenter(&self, size: (f64, f64)) {
        let (wide, high) = self.size.get_untracked();
        if (wide, high) != size {
            self.shift((size.0 - wide) / 2.0, (size.1 - high) / 2.0);
            self.resize(size);
        }
    }

    pub(super) fn transform(&self) -> String {
        let View { x, y, scale } = self.view.get();
        format!("translate({x:.2} {y:.2}) scale({scale:.4})")
    }

    /// All of a drawing.
    pub(super) fn fit(&self, drawing: (f64, f64)) {
        self.show(drawing, SCALE_MIN);
    }

    /// As much of a drawing as can be read, from its begin.
    pub(super) fn begin(&self, drawing: (f64, f64)) {
        self.show(drawing, READABLE);
    }

    fn show(&self, (width, height): (f64, f64), least: f64) {
        let (wide, high) = self.size.get_untracked();
        let fits = (wide / width.max(1.0)).min(high / height.max(1.0));
        let scale = fits.clamp(least, FIRST_MAX);
        let x = (wide - width * scale) / 2.0;
        let y = ((high - height * scale) / 2.0).max(0.0);
        self.view.set(View { x, y, scale });
    }

    /// Nearer or farther, around the middle or a point of the window.
    pub(super) fn zoom(&self, by: f64, around: Option<(f64, f64)>) {
        let (wide, high) = self.size.get_untracked();
        let (cx, cy) = around.unwrap_or((wide / 2.0, high / 2.0));
        self.view.update(|view| {
            let scale = (view.scale * by).clamp(SCALE_MIN, SCALE_MAX);
            let part = scale / view.scale;
            (view.x, view.y) = (cx - (cx - view.x) * part, cy - (cy - view.y) * part);
            view.scale = scale;
        });
    }

    pub(super) fn shift(&self, dx: f64, dy: f64) {
        self.view.update(|view| (view.x, view.y) = (view.x + dx, view.y + dy));
    }

    /// Moves no more than it must for a rectangle of the drawing to be seen.
    pub(super) fn reveal(&self, (x, y, width, height): (f64, f64, f64, f64)) {
        let (wide, high) = self.size.get_untracked();
        let moved = |from: f64, long: f64, room: f64| {
            if from < MARGIN || long > room - 2.0 * MARGIN {
                MARGIN - from
            } else {
                (room - MARGIN - from - long).min(0.0)
            }
        };
        let view = self.view.get_untracked();
        let (left, top) = (view.x + x * view.scale, view.y + y * view.scale);
        let dx = moved(left, width * view.scale, wide);
        let dy = moved(top, height * view.scale, high);
        self.shift(dx, dy);
    }

    pub(super) fn hold(&self, at: (f64, f64)) {
        let view = self.view.get_untracked();
        self.held.set_value(Some((at, (view.x, view.y))));
    }

    /// Whether it is a drag, not just an unsteady hand.
    pub(super) fn drag(&self, (x, y): (f64, f64)) -> bool {
        let Some(((from_x, from_y), (view_x, view_y))) = self.held.get_value() else {
            return false;
        };
        let (dx, dy) = (x - from_x, y - from_y);
        if !self.drags.get_untracked() && dx.hypot(dy) < DRAG_MIN {
            return false;
        }
        self.drags.set(true);
        self.view.update(|view| (view.x, view.y) = (view_x + dx, view_y + dy));
        true
    }

    pub(super) fn release(&self) {
        self.held.set_value(None);
        self.drags.set(false);
    }
}
