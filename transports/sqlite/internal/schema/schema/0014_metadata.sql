-- A delayed event keeps the metadata of its flow.
ALTER TABLE delayed ADD COLUMN metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata));
