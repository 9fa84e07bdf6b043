//! Where connections run: a thread with a runtime of its own for each core. A connection stays on
//! its thread with all that belongs to it, so that nothing it does wakes another one.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// What the threads are called.
const NAME: &str = "z2api-worker";
/// How many more threads there may be for what blocks, such as the search for a name, in all; and
/// how many each runtime has at least.
const MAX_BLOCKING: usize = 512;
const MIN_BLOCKING: usize = 8;

/// The threads that connections run on. They end when it is dropped, and what still runs there.
#[derive(Debug)]
pub struct Workers {
    /// None: connections run where they are taken.
    threads: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Each connection holds one more.
    connections: Arc<()>,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// Connections run in the runtime that takes them.
    pub fn here() -> Self {
        Self { threads: Vec::new() }
    }

    /// So many threads; as many as there are cores to use, if none are named.
    ///
    /// # Errors
    /// If the system has no room for another thread.
    pub fn threads(count: Option<usize>) -> io::Result<Self> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let count = count.unwrap_or_else(cores);
        let threads = (0..count).map(|_| Worker::start(blocking(count)));
        Ok(Self { threads: threads.collect::<io::Result<_>>()? })
    }

    /// The runtimes of the threads.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = Handle> {
        self.threads.iter().map(|worker| worker.runtime.clone())
    }

    /// Lets a connection run on the thread with the fewest of them. One that breaks at that moment
    /// is dropped without a word: there is nobody to hear it.
    pub(crate) fn spawn<S>(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> S + Send + 'static,
    ) where
        S: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.threads.iter().min_by_key(|worker| worker.load()) else {
            connections.spawn(serve(stream));
            return;
        };
        let counted = Arc::clone(&worker.connections);
        let Ok(stream) = stream.into_std() else { return };
        let running = async move {
            let _counted = counted;
            // Here, so that this thread's runtime watches it.
            if let Ok(stream) = TcpStream::from_std(stream) {
                serve(stream).await;
            }
        };
        connections.spawn_on(running, &worker.runtime);
    }
}

impl Worker {
    /// With so many more threads at most, for what blocks.
    fn start(blocking: usize) -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(blocking).build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
        thread::Builder::new().name(NAME.to_owned()).spawn(move || run(runtime, stopped))?;
        Ok(Self { runtime: handle, connections: Arc::default(), _stop: stop })
    }

    fn load(&self) -> usize {
        Arc::strong_count(&self.connections) - 1
    }
}

/// Each of so many runtimes has its share of them.
fn blocking(runtimes: usize) -> usize {
    (MAX_BLOCKING / runtimes.max(1)).max(MIN_BLOCKING)
}

/// Without waiting for what blocks, such as the search for a name: the process may end meanwhile.
fn run(runtime: Runtime, stopped: oneshot::Receiver<()>) {
    let _dropped = runtime.block_on(stopped);
    runtime.shutdown_background();
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::thread::ThreadId;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Where each of so many connections runs, while all of them do.
    async fn spread(workers: &Workers, connections: usize) -> HashMap<ThreadId, usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, mut told) = mpsc::unbounded_channel();
        let (mut set, mut clients) = (JoinSet::new(), Vec::new());
        for _ in 0..connections {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            workers.spawn(&mut set, stream, move |stream| async move {
                tell.send(thread::current().id()).unwrap();
                // Until the client has gone.
                stream.readable().await.unwrap();
            });
        }
        let mut threads = HashMap::new();
        for _ in 0..connections {
            let thread = timeout(PATIENCE, told.recv()).await.expect("it runs").unwrap();
            *threads.entry(thread).or_insert(0) += 1;
        }
        drop(clients);
        while timeout(PATIENCE, set.join_next()).await.expect("it ends").is_some() {}
        threads
    }

    #[tokio::test]
    async fn connections_are_spread_over_all_threads_alike() {
        let workers = Workers::threads(Some(3)).unwrap();
        for _ in 0..2 {
            let threads = spread(&workers, 12).await;
            assert!(threads.values().eq([&4, &4, &4]), "{threads:?}");
            assert!(!threads.contains_key(&thread::current().id()));
        }
        assert!(workers.threads.iter().all(|worker| worker.load() == 0));
    }

    #[tokio::test]
    async fn without_threads_they_run_where_they_are_taken() {
        let threads = spread(&Workers::here(), 5).await;
        assert_eq!(threads, HashMap::from([(thread::current().id(), 5)]));
    }

    #[tokio::test]
    async fn what_runs_on_a_thread_ends_with_the_workers() {
        let workers = Workers::threads(Some(1)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut set = JoinSet::new();
        workers.spawn(&mut set, stream, |stream| async move {
            let _held = stream;
            std::future::pending::<()>().await;
        });
        drop(workers);
        let ended = timeout(PATIENCE, set.join_next()).await.expect("it ends").unwrap();
        assert!(ended.unwrap_err().is_cancelled());
        timeout(PATIENCE, client.readable()).await.expect("it is closed").unwrap();
    }
}
