//! Shared support for the benches of the workspace.
