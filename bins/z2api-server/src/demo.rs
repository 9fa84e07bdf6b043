//! `--demo`: the gateway in front of a simulated upstream.

use z2api_config::Config;
use z2api_upstream_sim::Sim;
use z2api_wire::event::Dialect;

/// A running simulated upstream. Dropping it stops it.
#[derive(Debug)]
pub struct Demo {
    sim: Sim,
}

impl Demo {
    /// Starts the simulated upstream on a loopback port and points the settings at it.
    ///
    /// # Errors
    /// If no loopback port can be had.
    pub async fn start(config: &mut Config) -> std::io::Result<Self> {
        let demo = Self { sim: Sim::start(z2api_upstream_sim::Demo).await? };
        demo.apply(config);
        Ok(demo)
    }

    /// Points settings at the simulated upstream: the dialect of chat.z.ai, with guest tokens.
    /// Upstream settings of the environment are not used.
    pub(crate) fn apply(&self, config: &mut Config) {
        config.upstream.url = self.sim.web_url();
        config.upstream.dialect = Some(Dialect::ZaiWeb);
        config.upstream.tokens = Vec::new();
        config.upstream.proxy = None;
        config.upstream.guest_tokens = true;
    }
}
