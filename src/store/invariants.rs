//! What holds for every database URL: for property tests and the fuzzer.

use std::path::Path;

use super::url::DatabaseUrl;

/// It names a file by an absolute path, or is refused without saying what may be a password.
pub fn database_url(input: &[u8]) {
    let url = String::from_utf8_lossy(input);
    match DatabaseUrl::parse(&url, Path::new("/ws")) {
        Ok(parsed) => {
            let path = parsed.path();
            assert!(path.is_absolute() && path.file_name().is_some(), "{url:?}: {path:?}");
            assert!(!path.as_os_str().as_encoded_bytes().contains(&0), "{url:?}: {path:?}");
            let again = format!("sqlite:///{}", path.display());
            assert_eq!(DatabaseUrl::parse(&again, Path::new("/ws")).as_ref(), Ok(&parsed));
        }
        Err(error) => {
            let Some((scheme, rest)) = url.split_once("://") else { return };
            let secret = rest.rsplit_once('@').and_then(|(user, _)| user.rsplit_once(':'));
            let password = secret.map(|(_, word)| word).filter(|word| word.len() >= 8);
            // A word that is the scheme's too says nothing about the password.
            let telling = password.filter(|word| !word.contains('/') && !scheme.contains(word));
            if let Some(password) = telling {
                assert!(!error.to_string().contains(password), "{error}");
            }
        }
    }
}
