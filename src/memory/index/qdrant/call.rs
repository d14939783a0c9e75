//! A call to Qdrant: bounded by a deadline, guarded by the circuit breaker, with classified errors.

use std::future::Future;
use std::time::Duration;

use tonic::{Code, Status};

use super::Qdrant;

/// Failure of a call to Qdrant.
#[derive(Debug, thiserror::Error)]
pub enum QdrantError {
    /// Qdrant does not answer.
    #[error("Qdrant at {address} {why}")]
    Down {
        /// Address of the server.
        address: String,
        /// Reason, to read after the address.
        why: String,
    },
    /// The circuit breaker is open.
    #[error("Qdrant at {address} failed recently; autopack waits before trying again")]
    Resting {
        /// Address of the server.
        address: String,
    },
    /// Qdrant refused the request.
    #[error("Qdrant at {address} refused to {doing}: {why}")]
    Refused {
        /// Address of the server.
        address: String,
        /// Attempted operation, to read after "refused to".
        doing: &'static str,
        /// Reason given by Qdrant.
        why: String,
    },
    /// The API key is missing, wrong, or has insufficient rights. Waiting does not help.
    #[error(
        "Qdrant at {address} {why}; set AUTOPACK_QDRANT_API_KEY or memory.qdrant.api_key to {wanted}"
    )]
    Denied {
        /// Address of the server.
        address: String,
        /// Reason, to read after the address.
        why: String,
        /// Kind of key to set.
        wanted: &'static str,
    },
    /// A collection shared with other workspaces holds vectors of another length. Waiting does not help.
    #[error(
        "the collection {collection} of Qdrant at {address} holds vectors of {there} dimensions, but the embedder makes {ours}; \
         set memory.embedder.model to a name used by no other model, or delete the collection: each workspace refills it from its own journal"
    )]
    Dimensions {
        /// Address of the server.
        address: String,
        /// Name of the collection.
        collection: String,
        /// Length of the collection's vectors.
        there: u64,
        /// Length of the embedder's vectors.
        ours: u64,
    },
}

pub(super) type Result<T> = std::result::Result<T, QdrantError>;

impl QdrantError {
    /// Checks for an error that only a change of the configuration resolves: Qdrant answers but cannot serve.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Dimensions { .. })
    }
}

impl Qdrant {
    /// Makes a call, unless the breaker is open, within the deadline; a failure opens the breaker.
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
            Ok(Err(error)) => Err(self.classify_error(doing, &error)),
            Err(_) => {
                self.breaker.failed();
                Err(self.down(&format!("did not answer within {} s", deadline.as_secs())))
            }
        }
    }

    /// Classifies an error: an absent server, a refusal, or a rejected API key.
    fn classify_error(
        &self,
        doing: &'static str,
        error: &qdrant_client::QdrantError,
    ) -> QdrantError {
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

    /// Creates `Denied`. The text does not depend on the call, so that the error is reported only once.
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

/// Turns "not found" into `None`: a missing collection is empty, not an error.
pub(super) fn absent<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(QdrantError::Refused { why, .. }) if why.starts_with("NotFound") => Ok(None),
        Err(error) => Err(error),
    }
}
