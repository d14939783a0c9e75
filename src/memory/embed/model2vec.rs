//! A model2vec model in a local directory: `tokenizer.json`, `model.safetensors`, `config.json`. Nothing is downloaded.

use std::path::Path;

use model2vec_rs::model::StaticModel;
use sha2::{Digest, Sha256};

use super::{EmbedError, normalise};
use crate::phase::words::hex;

/// A loaded model.
#[derive(Debug)]
pub struct Model2vec {
    id: String,
    model: StaticModel,
}

const FILES: [&str; 3] = ["tokenizer.json", "model.safetensors", "config.json"];

impl Model2vec {
    /// Loads the model in `directory`.
    ///
    /// # Errors
    /// The directory is missing, or a file is missing or invalid.
    pub fn open(directory: &Path) -> Result<Self, EmbedError> {
        let failed = |why: String| {
            EmbedError::Setup(format!(
                "cannot load the model2vec model {}: {why}; memory.embedder.folder must hold {}",
                directory.display(),
                FILES.join(", ")
            ))
        };
        // The model2vec crate would look elsewhere for a name without a directory.
        if !directory.is_dir() {
            return Err(failed("no such directory".to_owned()));
        }
        let id = id(directory).map_err(|error| failed(error.to_string()))?;
        let model = StaticModel::from_pretrained(directory, None, None, None)
            .map_err(|error| failed(format!("{error:#}")))?;
        Ok(Self { id, model })
    }

    /// Returns the identity of the model.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the vector of a text.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut vector = self.model.encode_single(text);
        normalise(&mut vector);
        vector
    }
}

/// Returns the identity by contents, not by name: another model in the same directory is another embedder.
fn id(directory: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    for file in FILES {
        hash.update(std::fs::read(directory.join(file))?);
    }
    Ok(format!("model2vec-{}", hex(&hash.finalize()[..6])))
}

#[cfg(test)]
mod tests {
    use super::super::cosine;
    use super::*;

    /// Writes the smallest valid model: four words, four dimensions.
    fn write_model(directory: &Path) {
        let tokenizer = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "[UNK]",
                "vocab": {"[UNK]": 0, "red": 1, "crimson": 2, "boat": 3}}
        });
        std::fs::write(directory.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        std::fs::write(directory.join("config.json"), r#"{"normalize": true}"#).unwrap();
        let rows: [[f32; 4]; 4] =
            [[0.0; 4], [1.0, 0.1, 0.0, 0.0], [0.9, 0.2, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let data: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let header =
            r#"{"embeddings":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}"#.as_bytes();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        std::fs::write(directory.join("model.safetensors"), file).unwrap();
    }

    #[test]
    fn local_directory_embeds() {
        let dir = tempfile::tempdir().unwrap();
        write_model(dir.path());
        let model = Model2vec::open(dir.path()).unwrap();
        let [red, crimson, boat] = ["red", "crimson", "boat"].map(|word| model.embed(word));
        assert!(cosine(&red, &crimson) > 0.9);
        assert!(cosine(&red, &boat) < 0.1);
        assert!(model.id().starts_with("model2vec-"));
    }

    #[test]
    fn missing_directory_is_reported_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = Model2vec::open(&dir.path().join("potion")).unwrap_err().to_string();
        assert!(error.contains("potion") && error.contains("tokenizer.json"), "{error}");
    }
}
