-- The commit that `autopack update` merges into the run's branch; NULL for an undo. A row with a commit takes no landing
-- back: its outcome `undone` means that the merge landed, and `revert_commit` is the merge.
ALTER TABLE reverts ADD COLUMN merged TEXT;
