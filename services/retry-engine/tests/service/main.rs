//! The retry engine over real sockets, against an orchestrator that only notes what it is told.

mod dead_letters;
mod retries;
mod scene;
