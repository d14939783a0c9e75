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
            let secret = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
            let password = secret.and_then(|(user, _)| user.rsplit_once(':')).map(|(_, word)| word);
            if let Some(password) = password.filter(|word| word.len() >= 8 && !word.contains('/')) {
                assert!(!error.to_string().contains(password), "{error}");
            }
        }
    }
}
