//! Panics on request, for the tests. In a release build there is nothing of it.

use http::HeaderMap;

use crate::body::Response;

/// What a request wants to go wrong: `x-test-panic: route`, before it is known who answers it, or
/// `handler`, or `stream` after the first bytes, or `twice` there and in saying so.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    #[cfg(debug_assertions)]
    InRoute,
    #[cfg(debug_assertions)]
    InHandler,
    #[cfg(debug_assertions)]
    InStream,
    #[cfg(debug_assertions)]
    Twice,
}

#[cfg(not(debug_assertions))]
impl Fault {
    pub(crate) fn wanted(_: &HeaderMap) -> Self {
        Self::None
    }

    pub(crate) fn in_route(self) {}

    pub(crate) fn in_handler(self) {}

    pub(crate) fn in_stream(self, response: Response) -> Response {
        response
    }
}

#[cfg(debug_assertions)]
mod debug {
    use std::task::{Context, Poll};

    use bytes::Bytes;

    use super::*;
    use crate::body::{Body, Frames};
    use crate::connection::Why;

    impl Fault {
        pub(crate) fn wanted(headers: &HeaderMap) -> Self {
            match headers.get("x-test-panic").map(|value| value.as_bytes()) {
                Some(b"route") => Self::InRoute,
                Some(b"handler") => Self::InHandler,
                Some(b"stream") => Self::InStream,
                Some(b"twice") => Self::Twice,
                Some(_) | None => Self::None,
            }
        }

        pub(crate) fn in_route(self) {
            if matches!(self, Self::InRoute) {
                panic!("secret words of a request");
            }
        }

        pub(crate) fn in_handler(self) {
            if matches!(self, Self::InHandler) {
                panic!("secret words of a request");
            }
        }

        pub(crate) fn in_stream(self, response: Response) -> Response {
            response.map(|body| match (self, body) {
                (Self::InStream | Self::Twice, Body::Stream(frames)) => {
                    let twice = matches!(self, Self::Twice);
                    Body::Stream(Box::new(Panicking { frames, polled: 0, twice }))
                }
                (_, body) => body,
            })
        }
    }

    /// Gives the first bytes, then panics.
    #[derive(Debug)]
    struct Panicking {
        frames: Box<dyn Frames>,
        polled: usize,
        twice: bool,
    }

    impl Frames for Panicking {
        fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
            let polled = self.frames.poll_bytes(cx);
            self.polled += usize::from(polled.is_ready());
            assert_ne!(self.polled, 2, "secret words of a request");
            polled
        }

        fn broke(&mut self) {
            self.frames.broke();
            assert!(!self.twice, "secret words of a request");
        }

        fn dropped(&mut self, why: Why) {
            self.frames.dropped(why);
        }

        fn sent(&mut self) {
            self.frames.sent();
        }

        fn is_over(&self) -> bool {
            self.frames.is_over()
        }
    }
}
