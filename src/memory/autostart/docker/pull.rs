//! Image pull in the background, with a result available at any time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{Docker, PING, POLL_INTERVAL, PULL_BUDGET, describe_error};

const IMAGE_PAUSE: Duration = Duration::from_secs(1);

/// A pull in progress.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Image reference.
    pub image: String,
    state: Arc<Mutex<Option<Result<(), String>>>>,
}

impl Pull {
    /// Returns the result; `None` while the pull is running.
    pub fn result(&self) -> Option<Result<(), String>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The pull failed, with the reason in a single line.
    pub async fn wait(&self) -> Result<(), String> {
        loop {
            if let Some(result) = self.result() {
                return result;
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

impl Docker {
    /// Starts a pull in the background.
    pub fn pull(&self, image: &str) -> Pull {
        let pull = Pull { image: image.to_owned(), state: Arc::default() };
        let (docker, image, state) = (self.clone(), image.to_owned(), Arc::clone(&pull.state));
        tokio::spawn(async move {
            let result = tokio::select! {
                pulled = timeout(PULL_BUDGET, pull_image(&docker.api, &image)) => {
                    pulled.unwrap_or_else(|_| Err(format!("Docker cannot pull {image}: timed out")))
                }
                // The image was loaded by hand or pulled by another process while this pull hangs.
                () = docker.wait_until_present(&image) => Ok(()),
            };
            *state.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        });
        pull
    }

    async fn wait_until_present(&self, image: &str) {
        loop {
            sleep(IMAGE_PAUSE).await;
            if timeout(PING, self.has_image(image)).await.is_ok_and(|there| there == Ok(true)) {
                return;
            }
        }
    }
}

/// Pulls an image. The stream has to be read: the engine stops pulling without a reader.
async fn pull_image(api: &bollard::Docker, image: &str) -> Result<(), String> {
    let (name, tag) = name_and_tag(image);
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
    let mut steps = Box::pin(api.create_image(Some(options), None, None));
    while let Some(step) = steps.next().await {
        let step = step.map_err(|error| describe_error(&format!("pull {image}"), &error))?;
        if let Some(why) = step.error_detail.and_then(|detail| detail.message) {
            return Err(format!("Docker cannot pull {image}: {why}"));
        }
    }
    Ok(())
}

/// Splits an image reference. A colon after the last slash starts the tag; an earlier colon starts the registry's port.
fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !image.contains('@') => (name, tag),
        _ if image.contains('@') => (image, ""),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_port_is_not_parsed_as_a_tag() {
        assert_eq!(name_and_tag("qdrant/qdrant:v1.19.0"), ("qdrant/qdrant", "v1.19.0"));
        assert_eq!(name_and_tag("localhost:5000/qdrant"), ("localhost:5000/qdrant", "latest"));
        assert_eq!(name_and_tag("q@sha256:ab"), ("q@sha256:ab", ""));
    }
}
