//! One call to Qdrant: within a deadline, behind the circuit breaker, and what its failure means.

use std::future::Future;
use std::time::Duration;

use tonic::Code;

use super::Qdrant;

#[derive(Debug, thiserror::Error)]
pub enum QdrantError {
    #[error("Qdrant at {address} {why}")]
    Down { address: String, why: String },
    #[error("Qdrant at {address} failed a moment ago and is left alone for now")]
    Resting { address: String },
    #[error("Qdrant at {address} refused to {doing}: {why}")]
    Refused { address: String, doing: &'static str, why: String },
}

pub(super) type Result<T> = std::result::Result<T, QdrantError>;

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

    /// Apart: a server that is not there, and one that is there and says no.
    fn judge(&self, doing: &'static str, error: &qdrant_client::QdrantError) -> QdrantError {
        let qdrant_client::QdrantError::ResponseError { status } = error else {
            self.breaker.failed();
            return self.down(&error.to_string());
        };
        match status.code() {
            Code::NotFound
            | Code::AlreadyExists
            | Code::InvalidArgument
            | Code::Unauthenticated
            | Code::PermissionDenied
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
