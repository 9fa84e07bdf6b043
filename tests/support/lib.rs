//! Shared support for the tests of the workspace.
