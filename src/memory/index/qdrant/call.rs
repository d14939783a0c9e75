//! One call to Qdrant: within a deadline, behind the circuit breaker, and what its failure means.

use std::future::Future;
use std::time::Duration;

use tonic::{Code, Status};

use super::Qdrant;

#[derive(Debug, thiserror::Error)]
pub enum QdrantError {
    #[error("Qdrant at {address} {why}")]
    Down { address: String, why: String },
    #[error("Qdrant at {address} failed a moment ago and is left alone for now")]
    Resting { address: String },
    #[error("Qdrant at {address} refused to {doing}: {why}")]
    Refused { address: String, doing: &'static str, why: String },
    /// The API key is missing, wrong, or has too few rights. Waiting does not mend it.
    #[error(
        "Qdrant at {address} {why}; set AUTOPACK_QDRANT_API_KEY or memory.qdrant.api_key to {wanted}"
    )]
    Denied { address: String, why: String, wanted: &'static str },
    /// A collection that other workspaces use too holds vectors of another length. Waiting does not mend it.
    #[error(
        "the collection {collection} of Qdrant at {address} holds vectors of {there} dimensions, and the embedder makes {ours}; \
         set memory.embedder.model to a name that no other model uses, or delete the collection: each workspace fills it again from its journal"
    )]
    Dimensions { address: String, collection: String, there: u64, ours: u64 },
}

pub(super) type Result<T> = std::result::Result<T, QdrantError>;

impl QdrantError {
    /// Whether only a change of the configuration helps: Qdrant answers, and cannot serve.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Dimensions { .. })
    }
}

impl Qdrant {
    /// One call: not while it rests, not beyond the deadline, and its failure rests it.
    pub(super) async fn call<T>(
        &self,
        doing: &'static str,
        deadline: Duration,
        call: impl Future<Output = std::result::Result<T, qdrant_client::QdrantError>>,
    ) -> Result<T> {
        if !self.breaker.admits() {
            return Err(QdrantError::Resting { address: self.address.clone() });
        }
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => {
                self.breaker.succeeded();
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.judge(doing, &error)),
            Err(_) => {
                self.breaker.failed();
                Err(self.down(&format!("did not answer within {} s", deadline.as_secs())))
            }
        }
    }

    /// Apart: a server that is not there, one that is there and says no, and one that does not take our key.
    fn judge(&self, doing: &'static str, error: &qdrant_client::QdrantError) -> QdrantError {
        let qdrant_client::QdrantError::ResponseError { status } = error else {
            self.breaker.failed();
            return self.down(&error.to_string());
        };
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                self.breaker.failed();
                self.denied(status)
            }
            Code::NotFound
            | Code::AlreadyExists
            | Code::InvalidArgument
            | Code::Unimplemented
            | Code::FailedPrecondition => {
                self.breaker.succeeded();
                let why = format!("{:?}: {}", status.code(), status.message());
                QdrantError::Refused { address: self.address.clone(), doing, why }
            }
            _ => {
                self.breaker.failed();
                let message = status.message();
                let short = message.split(": ").next().unwrap_or(message);
                self.down(&format!("cannot be reached ({short})"))
            }
        }
    }

    /// The text does not depend on the call, so that it is told once.
    fn denied(&self, status: &Status) -> QdrantError {
        let (what, wanted) = match (status.code(), self.has_key) {
            (Code::PermissionDenied, true) => {
                ("gives the API key too few rights", "a key that may read and write")
            }
            (_, true) => ("does not accept the API key", "its key"),
            (_, false) => ("requires an API key", "its key"),
        };
        let why = format!("{what} ({})", status.message());
        QdrantError::Denied { address: self.address.clone(), why, wanted }
    }

    pub(super) fn down(&self, why: &str) -> QdrantError {
        QdrantError::Down { address: self.address.clone(), why: why.to_owned() }
    }
}

/// A collection that was never made holds nothing; that is no error.
pub(super) fn absent<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(QdrantError::Refused { why, .. }) if why.starts_with("NotFound") => Ok(None),
        Err(error) => Err(error),
    }
}
