//! Invariants for every database URL, for property tests and the fuzzer.

use std::path::Path;

use super::database_url::DatabaseUrl;

/// Checks that a URL either names a file by an absolute path, or is refused without repeating a possible password.
pub fn database_url(input: &[u8]) {
    let url = String::from_utf8_lossy(input);
    match DatabaseUrl::parse(&url, Path::new("/ws")) {
        Ok(parsed) => {
            let Some(path) = parsed.file() else { return };
            assert!(path.is_absolute() && path.file_name().is_some(), "{url:?}: {path:?}");
            assert!(!path.as_os_str().as_encoded_bytes().contains(&0), "{url:?}: {path:?}");
            let again = format!("sqlite:///{}", path.display());
            assert_eq!(DatabaseUrl::parse(&again, Path::new("/ws")).as_ref(), Ok(&parsed));
        }
        Err(error) => {
            let Some((scheme, rest)) = url.split_once("://") else { return };
            let Some((user, place)) = rest.rsplit_once('@') else { return };
            let password = user.rsplit_once(':').map(|(_, word)| word);
            // Words that also occur in the error message or elsewhere in the URL reveal nothing about the password.
            let is_odd = |word: &&str| {
                let bytes = word.as_bytes();
                bytes.len() >= 8
                    && bytes.iter().all(u8::is_ascii_alphanumeric)
                    && bytes.iter().any(u8::is_ascii_digit)
            };
            let telling = password
                .filter(is_odd)
                .filter(|word| !scheme.contains(*word) && !place.contains(*word));
            if let Some(password) = telling {
                assert!(!error.to_string().contains(password), "{error}");
            }
        }
    }
}
