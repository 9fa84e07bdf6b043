//! The operator's own way in: a listener that serves the pages about the gateway, if they are not
//! to be on the one for clients.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::connection::{self, Door, Entrance, Why, turn_away};

/// Takes connections until it is dropped, which is when the gateway ends: what goes on while it
/// stops is worth seeing. Its connections end with it.
pub(crate) async fn take(socket: TcpListener, app: Arc<App>) {
    let mut door = Door::new(socket, app.clone());
    // Never told: nobody waits for these connections.
    let draining = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, address) = door.next() => match app.operators_place_for(address.ip()) {
                Some(place) => {
                    let (app, draining) = (app.clone(), draining.subscribe());
                    let entrance = Entrance::Operator;
                    connections.spawn(connection::serve(
                        stream, address, entrance, place, app, draining,
                    ));
                }
                None => turn_away(&app, &stream, address, Why::TooManyOperators),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
