//! Where memory comes from, and goes back to.
//!
//! After a burst the system's own allocator keeps nearly all of it: what is resident then tells
//! nothing about what is needed, and the process stays close to its limit. jemalloc gives it back
//! within seconds, from a thread of its own, since an idle gateway allocates nothing that could
//! bring it about. Measured: `benches/README.md`. How soon is set in `.cargo/config.toml`, at build
//! time, since it can be set from here by unsafe code only.

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
