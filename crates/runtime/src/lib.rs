//! The shell every Planaria service runs in.
