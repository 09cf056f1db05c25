//! What the dashboard shows, as plain functions of the contract's messages: no clock, no browser,
//! no I/O. Times are milliseconds since 1970; positions and sizes are in pixels of the drawing.

pub mod api;
pub mod chart;
pub mod definitions;
pub mod document;
pub mod events;
pub mod gantt;
pub mod graph;
pub mod healing;
pub mod histogram;
pub mod keys;
pub mod letters;
pub mod limits;
pub mod names;
pub mod story;
pub mod words;
pub mod workers;
pub mod workflows;
