-- What served the memory of the run's last drain: qdrant, faiss or off.
ALTER TABLE runs ADD COLUMN memory_backend TEXT;
