//! What a drawing is seen through: a window that a camera looks out of.

use leptos::html;
use leptos::prelude::*;
use planaria_view::graph::Graph;

use super::camera::Camera;

/// How far one turn of the wheel goes.
const WHEEL: f64 = 0.0015;
/// Of a tall box only this much has to be seen.
const SEEN_MAX: f64 = 160.0;

#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) camera: Camera,
    pub(super) window: NodeRef<html::Div>,
    pub(super) graph: StoredValue<Graph>,
    /// Of the whole drawing.
    pub(super) size: (f64, f64),
}

impl Stage {
    pub(super) fn new(graph: Graph) -> Self {
        let size = (graph.width, graph.height);
        Self { camera: Camera::new(), window: NodeRef::new(), graph: StoredValue::new(graph), size }
    }

    fn area(self) -> Option<(f64, f64)> {
        let area = self.window.try_get_untracked()??.get_bounding_client_rect();
        Some((area.width(), area.height()))
    }

    pub(super) fn measure(self) {
        if let Some(area) = self.area() {
            self.camera.resize(area);
        }
    }

    /// Moves only as far as it takes to see a task.
    pub(super) fn reveal(self, reference: &str) {
        self.graph.with_value(|graph| {
            if let Some(node) = graph.node(reference) {
                self.camera.reveal((node.x, node.y, node.width, node.height.min(SEEN_MAX)));
            }
        });
    }

    /// The window has another size; a task stays in sight.
    pub(super) fn resized(self, task: Memo<String>) {
        if let Some(area) = self.area() {
            self.camera.recenter(area);
            task.with_untracked(|task| self.reveal(task));
        }
    }

    pub(super) fn zoom(self, by: f64) {
        self.measure();
        self.camera.zoom(by, None);
    }

    pub(super) fn fit(self) {
        self.measure();
        self.camera.fit(self.size);
    }

    pub(super) fn key(self, event: &leptos::ev::KeyboardEvent) {
        match &*event.key() {
            "+" | "=" => self.camera.zoom(1.2, None),
            "-" => self.camera.zoom(1.0 / 1.2, None),
            "0" => self.camera.fit(self.size),
            _ => {}
        }
    }

    pub(super) fn wheel(self, event: &leptos::ev::WheelEvent) {
        event.prevent_default();
        self.measure();
        let place = self.window.get_untracked().map(|window| {
            let window = window.get_bounding_client_rect();
            let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
            (x - window.left(), y - window.top())
        });
        self.camera.zoom((-event.delta_y() * WHEEL).exp(), place);
    }

    pub(super) fn hold(self, event: &leptos::ev::PointerEvent) {
        self.camera.hold(at(event));
    }

    pub(super) fn drag(self, event: &leptos::ev::PointerEvent) {
        if event.buttons() & 1 == 0 {
            self.camera.release();
        } else if self.camera.drag(at(event))
            && let Some(window) = self.window.get_untracked()
        {
            // It fails only where the pointer is gone.
            let _ = window.set_pointer_capture(event.pointer_id());
        }
    }
}

fn at(event: &leptos::ev::PointerEvent) -> (f64, f64) {
    (f64::from(event.client_x()), f64::from(event.client_y()))
}

/// The buttons of those who have no wheel.
#[component]
pub(super) fn Tools(stage: Stage) -> impl IntoView {
    view! {
        <div class="tools" role="group" aria-label="The drawing's size">
            <button type="button" aria-label="Nearer" title="Nearer (+)"
                on:click=move |_| stage.zoom(1.25)>"+"</button>
            <button type="button" aria-label="Farther" title="Farther (-)"
                on:click=move |_| stage.zoom(0.8)>"−"</button>
            <button type="button" title="Fit all (0)" on:click=move |_| stage.fit()>"Fit"</button>
        </div>
    }
}
