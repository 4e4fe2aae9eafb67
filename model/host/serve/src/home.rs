//! May this node live in this directory?
//!
//! A directory belongs to one node of one cluster, in one format, and one process at a time.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use trial_model::{protocol::ErrorCode, units::NodeId};

/// The format of what stands in a data directory. One of another version is refused.
const FORMAT: &str = "1";
const LOCK: &str = ".lock";
const PROPERTIES: &str = "trial.properties";

/// Why a node or a cluster cannot start.
#[derive(Debug)]
pub enum StartError {
    /// Something else listens there, or nobody may.
    Bind {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// There are not enough port numbers for everybody.
    Port,
    /// Another process lives in the directory.
    InUse(PathBuf),
    /// The directory is another node's, another cluster's, or of another format.
    Foreign {
        /// Which.
        directory: PathBuf,
        /// What it is of.
        found: String,
        /// What it should be of.
        expected: String,
    },
    /// A topic of the layout cannot be.
    Topic {
        /// Which.
        topic: String,
        /// Why.
        error: ErrorCode,
    },
    /// There is no such node in the cluster.
    NoSuchNode(String),
    /// The disk does not let us.
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn bind(host: &str, port: u16, source: io::Error) -> StartError {
        StartError::Bind { address: format!("{host}:{port}"), source }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> StartError {
        let path = path.to_owned();
        move |source| StartError::Io { path, source }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "{address} is taken: something else listens there")
            }
            StartError::Bind { address, source } => write!(f, "cannot listen at {address}: {source}"),
            StartError::Port => f.write_str("the ports from there on do not suffice for every node"),
            StartError::InUse(directory) => {
                write!(f, "{} is in use by another process", directory.display())
            }
            StartError::Foreign { directory, found, expected } => {
                write!(f, "{} is of {found}, not of {expected}", directory.display())
            }
            StartError::Topic { topic, error } => write!(f, "topic {topic} cannot be created: {error}"),
            StartError::NoSuchNode(name) => write!(f, "there is no node {name} in this cluster"),
            StartError::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Bind { source, .. } | StartError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A directory that is ours for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl Home {
    /// Moves into `path`, which is made if it is not there.
    pub(crate) fn enter(path: PathBuf, cluster: &str, node: NodeId) -> Result<Home, StartError> {
        fs::create_dir_all(&path).map_err(StartError::io(&path))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(StartError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(StartError::Io { path: lock_path, source }),
        }
        claim(&path, cluster, node)?;
        Ok(Home { path, _lock: lock })
    }
}

/// Reads whose directory it is, or writes down that it is ours.
fn claim(path: &Path, cluster: &str, node: NodeId) -> Result<(), StartError> {
    let properties = path.join(PROPERTIES);
    let ours = format!("version={FORMAT}\ncluster.id={cluster}\nnode.id={node}\n");
    match fs::read_to_string(&properties) {
        Ok(text) if text == ours => Ok(()),
        Ok(text) => Err(StartError::Foreign {
            directory: path.to_owned(),
            found: one_line(&text),
            expected: one_line(&ours),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let write = || {
                let temporary = path.join("trial.properties.tmp");
                let mut file = File::create(&temporary)?;
                file.write_all(ours.as_bytes())?;
                file.sync_all()?;
                fs::rename(&temporary, &properties)?;
                File::open(path)?.sync_all()
            };
            write().map_err(StartError::io(&properties))
        }
        Err(source) => Err(StartError::Io { path: properties, source }),
    }
}

fn one_line(text: &str) -> String {
    const MOST: usize = 200;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_nodes_of_one_cluster() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let enter = |cluster, node| Home::enter(directory.path().join("b"), cluster, node);
        let home = enter("lab", NodeId::broker(1))?;
        assert!(matches!(enter("lab", NodeId::broker(1)), Err(StartError::InUse(_))));
        drop(home);
        let other = enter("other", NodeId::broker(1)).expect_err("it is another cluster's");
        assert!(other.to_string().contains("cluster.id=lab"), "{other}");
        assert!(matches!(enter("lab", NodeId::broker(2)), Err(StartError::Foreign { .. })));
        enter("lab", NodeId::broker(1))?;
        Ok(())
    }
}
